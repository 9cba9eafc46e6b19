// Draws the charts that a page carries as Vega-Lite specifications, in the colours of the theme.
(() => {
  const NARROW = 640; // pixels: below it panels go one under the other

  // Multiplies everything that is measured in pixels; not the data, which are large.
  const enlarge = (node, factor) => {
    for (const [key, value] of Object.entries(node)) {
      if (["width", "height", "gradientLength"].includes(key) && typeof value === "number") node[key] *= factor;
      else if (value && typeof value === "object" && key !== "datasets") enlarge(value, factor);
    }
  };
  const letters = (factor) => ({ labelFontSize: 10 * factor, titleFontSize: 11 * factor });

  const colors = (factor) => {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--pst-color-text-base").trim();
    const rule = style.getPropertyValue("--pst-color-border").trim();
    const words = { labelColor: text, titleColor: text };
    return {
      background: null,
      axis: { ...words, ...letters(factor), gridColor: rule, domainColor: rule, tickColor: rule },
      legend: { ...words, ...letters(factor) },
      title: { color: text, fontSize: 13 * factor },
      text: { color: text },
      view: { stroke: rule },
    };
  };

  async function draw(place) {
    const chart = JSON.parse(place.querySelector("script").textContent);
    const controls = place.querySelector(".play-controls");
    const host = place.querySelector(".play-chart");
    const names = new Set([...controls.querySelectorAll("input, select")].map((input) => input.name));
    const values = [...names].map((name) => [name, place.view.signal(name)]);
    if (place.view) place.view.finalize();
    controls.replaceChildren();
    if (chart.hconcat && place.clientWidth < NARROW) {
      chart.vconcat = chart.hconcat;
      delete chart.hconcat;
    }
    const natural = Number(place.dataset.natural); // on a page of its own a chart is as wide as its room
    const factor = natural ? Math.max(1, host.clientWidth / natural) : 1;
    if (factor > 1) enlarge(chart, factor);
    const { view } = await vegaEmbed(host, chart, { bind: controls, config: colors(factor) });
    for (const [name, value] of values) view.signal(name, value);
    const readout = place.querySelector(".play-readout");
    const tell = (name, text) => (readout.textContent = text);
    view.addSignalListener("readout", tell);
    await view.runAsync();
    tell("readout", view.signal("readout"));
    place.view = view; // for tests, and for whoever looks into the console
  }

  const places = [...document.querySelectorAll(".play")];
  const redraw = () => places.reduce((before, place) => before.then(() => draw(place)), Promise.resolve());
  let drawn = redraw();
  const theme = new MutationObserver(() => (drawn = drawn.then(redraw)));
  theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
