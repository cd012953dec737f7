/* A page that keeps itself up to date: renews the parts that have changed, and copies JSON. */

// The admin loads scripts before there is a page.
document.addEventListener("DOMContentLoaded", () => {
    "use strict";

    const page = document.querySelector(".ewf-execution, .ewf-job, .ewf-overview");
    if (!page) {
        return;
    }

    // Copying

    async function copy(text, source) {
        try {
            await navigator.clipboard.writeText(text);
        } catch {
            // Without https there is no clipboard, but there is a selection.
            const range = document.createRange();
            range.selectNodeContents(source);
            const selection = window.getSelection();
            selection.removeAllRanges();
            selection.addRange(range);
            document.execCommand("copy");
        }
    }

    function copier(source, id) {
        const button = document.createElement("button");
        button.type = "button";
        button.id = id;
        button.className = "ewf-copy";
        button.textContent = page.dataset.ewfCopy;
        button.addEventListener("click", async () => {
            await copy(source.textContent, source);
            button.textContent = page.dataset.ewfCopied;
            setTimeout(() => { button.textContent = page.dataset.ewfCopy; }, 1500);
        });
        return button;
    }

    function furnish(root) {
        root.querySelectorAll("details.ewf-json > pre").forEach((pre) => {
            pre.before(copier(pre, `ewf-copy-${pre.parentElement.id}`));
        });
        root.querySelectorAll("[data-ewf-copies]").forEach((code) => {
            code.after(copier(code, `ewf-copy-${code.id}`));
        });
    }

    // Renewing

    const FIRST = Number(page.dataset.ewfEvery ?? 2000);
    const LONGEST = 15000;
    const SLOWER = 1.5;
    const told = document.getElementById("ewf-told");
    const shown = new Map();
    let etag = page.dataset.ewfEtag;
    let status = page.dataset.ewfStatus ?? page.querySelector("[data-ewf-status]")?.dataset.ewfStatus;
    let pause = FIRST;
    let timer = null;
    let isAsking = false;

    document.querySelectorAll(".ewf-part-of-page").forEach((part) => {
        shown.set(part.id, part.innerHTML);
    });
    furnish(page);

    // A graph wider than its box opens where the workflow begins.
    const canvas = document.getElementById("ewf-canvas");
    const first = canvas?.querySelector(".ewf-node");
    if (first) {
        const hidden = document.dir === "rtl" ? canvas.scrollWidth - canvas.clientWidth : 0;
        const middle = first.x.baseVal.value + first.width.baseVal.value / 2;
        canvas.scrollLeft = middle - canvas.clientWidth / 2 - hidden;
    }

    function isInUse(part, fresh) {
        const selection = window.getSelection();
        if (!selection.isCollapsed && selection.containsNode(part, true)) {
            return true;
        }
        const focused = document.activeElement;
        return part.contains(focused) && !(focused.id && fresh.querySelector(`#${CSS.escape(focused.id)}`));
    }

    function replace(part, fresh) {
        const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
        const open = [...part.querySelectorAll("details[open][id]")].map((each) => each.id);
        const places = [...part.querySelectorAll("[tabindex][id]")].map((each) => [each.id, each.scrollLeft, each.scrollTop]);
        part.replaceChildren(...fresh.childNodes);
        open.forEach((id) => { document.getElementById(id)?.setAttribute("open", ""); });
        places.forEach(([id, left, top]) => { document.getElementById(id)?.scrollTo(left, top); });
        if (focused) {
            document.getElementById(focused).focus({ preventScroll: true });
        }
    }

    function renew(text) {
        const root = new DOMParser().parseFromString(text, "text/html").querySelector("[data-ewf-status]");
        let waits = false;
        root.querySelectorAll(".ewf-part-of-page").forEach((fresh) => {
            const part = document.getElementById(fresh.id);
            const html = fresh.innerHTML;
            if (shown.get(fresh.id) === html) {
                return;
            }
            furnish(fresh);
            if (isInUse(part, fresh)) {
                waits = true;
                return;
            }
            replace(part, fresh);
            shown.set(part.id, html);
        });
        if (root.dataset.ewfStatus !== status) {
            status = root.dataset.ewfStatus;
            told.textContent = status;
        }
        return { waits, isStill: "ewfStill" in root.dataset };
    }

    async function ask() {
        timer = null;
        isAsking = true;
        let goesOn = true;
        try {
            const answer = await fetch(page.dataset.ewfLive, { headers: { "If-None-Match": etag }, redirect: "error" });
            if (answer.status === 200) {
                const { waits, isStill } = renew(await answer.text());
                // What waits is asked for again.
                etag = waits ? "" : answer.headers.get("ETag");
                goesOn = waits || !isStill;
                pause = FIRST;
            } else {
                goesOn = answer.status === 304 || answer.status >= 500;
                pause = Math.min(LONGEST, pause * SLOWER);
            }
        } catch {
            // The server restarts, or one is logged out; the one passes, the other does no harm.
            pause = LONGEST;
        }
        isAsking = false;
        if (goesOn) {
            plan();
        } else {
            document.removeEventListener("visibilitychange", plan);
        }
    }

    function plan() {
        clearTimeout(timer);
        timer = document.hidden || isAsking ? null : setTimeout(ask, pause);
    }

    if (page.dataset.ewfLive) {
        document.addEventListener("visibilitychange", plan);
        plan();
    }
});
