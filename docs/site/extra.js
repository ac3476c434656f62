// The theme's search is a dialog without a name; screen readers need one.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
// Tables that are wider than the page scroll, also by the keyboard's arrows.
addEventListener("load", () => {
  for (const place of document.querySelectorAll(".md-typeset__scrollwrap"))
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
});
