// Fetches each part of the page that names its address in data-live, until it says that it is settled.
const EVERY = 1000;

for (const part of document.querySelectorAll("[data-live]")) {
  const timer = setInterval(async () => {
    if (part.querySelector("[data-settled]")) {
      clearInterval(timer);
      return;
    }
    if (document.hidden) return;
    try {
      const answer = await fetch(part.dataset.live);
      if (answer.ok) part.innerHTML = await answer.text();
    } catch {
      // The shop is not there just now; the next second tries again.
    }
  }, EVERY);
}
