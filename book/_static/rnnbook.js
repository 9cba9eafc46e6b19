// Summaries of search results are fetched, which browsers refuse for files opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// What scrolls sideways can be reached, and then scrolled, by keyboard.
const SCROLLERS = "mjx-container, div.math, .cell_output, .text_html, pre, dt.sig, .wide-table, .play, .moving, table";
const BLOCKS = "p, li, dd, figcaption, summary, h1, h2, h3";  // a table scrolls as a whole
const reach = () => {
  const formulas = [...document.querySelectorAll(".bd-article mjx-container:not([display], td *)")];
  for (const formula of formulas) formula.classList.remove("wide");
  const beyond = (formula) => {
    const block = formula.closest(BLOCKS);
    return block && formula.getBoundingClientRect().right > block.getBoundingClientRect().right + 1;
  };
  for (const formula of formulas.filter(beyond)) formula.classList.add("wide");
  for (const box of document.querySelectorAll(`.bd-article :is(${SCROLLERS}), .pst-scrollable-table-container`))
    if (box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX)) box.tabIndex = 0;
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reach();
  addEventListener("resize", reach);
  addEventListener("toggle", reach, true);  // what was folded had no width
});

// A link to a claim opens the fold that it lies in; not all browsers do so themselves.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target?.scrollIntoView();
};
addEventListener("load", unfold);
addEventListener("hashchange", unfold);

// Point at a formula, or tap it, to see what its symbols mean; the list at the end of the page is for all others.
const meanings = document.querySelectorAll(".symbols dl > div");
if (meanings.length) {
  const box = document.createElement("div");
  box.className = "symbol-box";
  box.setAttribute("role", "status");
  box.hidden = true;
  document.querySelector(".bd-article").append(box);
  let waiting;
  const hide = () => {
    clearTimeout(waiting);
    box.hidden = true;
  };
  const show = (formula) => {
    clearTimeout(waiting);
    const list = document.createElement("dl");
    for (const number of formula.dataset.symbols.split(" ")) list.append(meanings[number].cloneNode(true));
    box.replaceChildren(list);
    box.hidden = false;
    const { left, top, bottom } = formula.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(left, innerWidth - box.offsetWidth - 8))}px`;
    box.style.top = `${bottom + box.offsetHeight < innerHeight ? bottom : Math.max(0, top - box.offsetHeight)}px`;
  };
  addEventListener("pointerover", ({ target, pointerType }) => {
    if (pointerType !== "mouse") return;
    clearTimeout(waiting);
    const formula = target.closest("[data-symbols]");
    if (formula) waiting = setTimeout(show, 300, formula);
    else if (!box.contains(target)) waiting = setTimeout(hide, 300);
  });
  addEventListener("click", ({ target }) => {
    const formula = target.closest("a, button, summary") ? null : target.closest("[data-symbols]");
    if (formula) show(formula);
    else if (!box.contains(target)) hide();
  });
  addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  addEventListener("scroll", hide, true);
}
