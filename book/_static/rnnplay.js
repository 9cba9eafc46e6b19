// Draws the charts that a page carries as Vega-Lite specifications, in the colours of the theme.
(() => {
  const NARROW = 640; // pixels: below it panels go one under the other
  const READABLE = 18; // pixels of the letters of a chart that fills a screen in a lecture hall

  // Multiplies everything that is measured in pixels; not the data, which are large.
  const enlarge = (node, factor) => {
    for (const [key, value] of Object.entries(node)) {
      if (["width", "height", "gradientLength"].includes(key) && typeof value === "number") node[key] *= factor;
      else if (value && typeof value === "object" && key !== "datasets") enlarge(value, factor);
    }
  };

  const looks = (size) => {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(`--pst-color-${name}`).trim();
    const [text, line, grid] = ["text-base", "text-muted", "border"].map(color);
    const words = { labelColor: text, titleColor: text, labelFontSize: size(11), titleFontSize: size(12), labelLimit: 0 };
    return {
      background: null,
      axis: { ...words, gridColor: grid, domainColor: line, tickColor: line },
      legend: words,
      title: { color: text, fontSize: size(13) },
      text: { color: text },
      view: { stroke: grid },
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
    const size = (pixels) => (natural ? Math.max(pixels * factor, READABLE) : pixels);
    const { view } = await vegaEmbed(host, chart, { bind: controls, config: looks(size) });
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
