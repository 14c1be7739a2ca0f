
"use strict";
// Without this script the page is the same, and does not move.
setInterval(async () => {
  const isBusy = document.hidden || document.activeElement?.closest("form");
  if (isBusy) return;
  const reply = await fetch(location.pathname, { credentials: "same-origin" }).catch(() => null);
  if (!reply?.ok) return;
  // Only what is shown: the policy of this page knows the nonce of its own style alone.
  const shown = (await reply.text()).split("<body>")[1]?.split("</main>")[0];
  if (!shown) return;
  const next = new DOMParser().parseFromString(shown, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.getElementById(part.id);
    if (!fresh) continue;
    for (const open of part.querySelectorAll("details[open]")) {
      const same = next.getElementById(open.id);
      if (same) same.open = true;
    }
    const scrolled = part.querySelector(".rows")?.scrollTop ?? 0;
    part.replaceChildren(...Array.from(fresh.childNodes, (node) => document.importNode(node, true)));
    const rows = part.querySelector(".rows");
    if (rows) rows.scrollTop = scrolled;
  }
}, 3000);
