// What the theme leaves out for keyboards and screen readers.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.querySelector(".md-search[role=dialog]")?.setAttribute("aria-label", "Search");
  for (const part of document.querySelectorAll("nav.md-nav[aria-labelledby]")) {
    const title = part.querySelector(":scope > .md-nav__title");
    if (!title) continue;
    part.removeAttribute("aria-labelledby");
    part.setAttribute("aria-label", `Pages of ${title.textContent.trim()}`);
  }
  // Wide tables are wrapped by the theme, after this.
  const reach = () => {
    for (const wrapped of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
      wrapped.tabIndex = 0;
    }
  };
  new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
  reach();
});
