/* Executions in a table: renews the rows that move by themselves, until none does. */

(function () {
    "use strict";

    const list = document.getElementById("ewf-list");
    if (!list) {
        return;
    }

    const FIRST = 2000;
    const LONGEST = 15000;
    const SLOWER = 1.5;
    // So many answers in a row without news, and it stops until the tab is looked at anew.
    const ENOUGH = 40;
    const MOST = 100;
    const told = document.getElementById("ewf-told");
    const statuses = new Map();
    const gone = new Set();
    let etag = "";
    let state = "";
    let pause = FIRST;
    let quiet = 0;
    let timer = null;
    let isAsking = false;

    function moving() {
        const found = new Map();
        document.querySelectorAll("td [data-ewf-moves]").forEach((mark) => {
            if (found.size < MOST && !gone.has(mark.dataset.ewfMoves)) {
                found.set(mark.dataset.ewfMoves, mark.closest("tr"));
            }
        });
        return found;
    }

    function number(fresh) {
        document.querySelectorAll(`.ewf-views [data-ewf-number="${fresh.dataset.ewfNumber}"]`).forEach((old) => {
            if (old.textContent !== fresh.textContent) {
                old.textContent = fresh.textContent;
                old.className = fresh.className;
            }
        });
    }

    // Cells are replaced, rows are not: the checkbox, the link and the focus stay.
    function fill(row, fresh) {
        fresh.querySelectorAll("[data-ewf-cell]").forEach((cell) => {
            const old = row.querySelector(`.${CSS.escape(cell.dataset.ewfCell)}`);
            if (old && !old.contains(document.activeElement) && old.innerHTML !== cell.innerHTML) {
                old.replaceChildren(...cell.childNodes);
            }
        });
    }

    function renew(root, rows) {
        root.querySelectorAll("[data-ewf-number]").forEach(number);
        const news = [];
        const answered = new Set();
        root.querySelectorAll("[data-ewf-row]").forEach((fresh) => {
            const key = fresh.dataset.ewfRow;
            const status = fresh.dataset.ewfStatus;
            answered.add(key);
            document.querySelectorAll(`[data-ewf-follows="${key}"]`).forEach((place) => fill(place, fresh.cloneNode(true)));
            fill(rows.get(key), fresh);
            if (statuses.get(key) !== status) {
                statuses.set(key, status);
                news.push(fresh.dataset.ewfSaid);
            }
        });
        rows.forEach((row, key) => {
            if (!answered.has(key)) {
                gone.add(key);
            }
        });
        if (news.length) {
            told.textContent = news.join("; ");
        }
    }

    async function ask(rows) {
        const url = `${list.dataset.ewfLive}?ids=${[...rows.keys()].join(",")}`;
        const answer = await fetch(url, { headers: etag ? { "If-None-Match": etag } : {}, redirect: "error" });
        if (answer.status === 200) {
            const root = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-ewf-state]");
            renew(root, rows);
            etag = answer.headers.get("ETag");
            const isNews = state !== root.dataset.ewfState;
            state = root.dataset.ewfState;
            return isNews;
        }
        if (answer.status !== 304 && answer.status < 500) {
            quiet = ENOUGH;
        }
        return false;
    }

    async function round() {
        const rows = moving();
        timer = null;
        if (!rows.size) {
            return;
        }
        isAsking = true;
        try {
            const isNews = await ask(rows);
            quiet = isNews ? 0 : quiet + 1;
            pause = isNews ? FIRST : Math.min(LONGEST, pause * SLOWER);
        } catch {
            // The server restarts, or one is logged out; the one passes, the other does no harm.
            quiet += 1;
            pause = LONGEST;
        }
        isAsking = false;
        plan();
    }

    function plan() {
        clearTimeout(timer);
        timer = document.hidden || isAsking || quiet >= ENOUGH ? null : setTimeout(round, pause);
    }

    document.addEventListener("visibilitychange", () => {
        quiet = 0;
        pause = FIRST;
        plan();
    });
    moving().forEach((row, key) => {
        statuses.set(key, row.querySelector("[data-ewf-status]")?.dataset.ewfStatus);
    });
    plan();
})();
