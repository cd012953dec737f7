/* The hosted builder: says whose it is, and only then has it loaded, for a later word can get lost. */

(function () {
    "use strict";

    const own = document.currentScript;

    // A style attribute would need a policy's "unsafe-inline".
    document.querySelectorAll("[data-embedworkflow-height]").forEach((element) => {
        element.style.height = element.dataset.embedworkflowHeight;
    });

    const isFirst = !window.EWF;
    if (isFirst) {
        const queue = [];
        window.EWF = {
            invoked: true,
            queue,
            load() {
                queue.push(arguments);
            },
        };
    }
    window.EWF.load(own.dataset.publishableKey, { jwt: own.dataset.jwt });
    if (isFirst) {
        const loader = document.createElement("script");
        loader.src = own.dataset.loader;
        loader.nonce = own.nonce;
        document.head.append(loader);
    }
})();
