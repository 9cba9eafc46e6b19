// Summaries of search results are fetched, which browsers refuse for files opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// What scrolls sideways can be reached, and then scrolled, by keyboard.
const SCROLLERS = "mjx-container, div.math, .cell_output, .text_html, pre, dt.sig, .wide-table, .play, .moving, table";
const reach = () => {
  for (const box of document.querySelectorAll(`.bd-article :is(${SCROLLERS}), .pst-scrollable-table-container`))
    if (box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX)) box.tabIndex = 0;
};
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  reach();
  addEventListener("resize", reach);
});

// A link to a claim opens the fold that it lies in; not all browsers do so themselves.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target?.scrollIntoView();
};
addEventListener("load", unfold);
addEventListener("hashchange", unfold);
