// Draws the charts that a page carries as Vega-Lite specifications, in the colours of the theme.
(() => {
  const NARROW = 640; // pixels: below it panels go one under the other

  const colors = () => {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--pst-color-text-base").trim();
    const rule = style.getPropertyValue("--pst-color-border").trim();
    const words = { labelColor: text, titleColor: text };
    return {
      background: null,
      axis: { ...words, gridColor: rule, domainColor: rule, tickColor: rule },
      legend: words,
      title: { color: text },
      text: { color: text },
      view: { stroke: rule },
    };
  };

  async function draw(place) {
    const chart = JSON.parse(place.querySelector("script").textContent);
    const controls = place.querySelector(".play-controls");
    const host = place.querySelector(".play-chart");
    const names = new Set([...controls.querySelectorAll("input")].map((input) => input.name));
    const values = [...names].map((name) => [name, place.view.signal(name)]);
    if (place.view) place.view.finalize();
    controls.replaceChildren();
    if (chart.hconcat && place.clientWidth < NARROW) {
      chart.vconcat = chart.hconcat;
      delete chart.hconcat;
    }
    const { view } = await vegaEmbed(host, chart, { bind: controls, config: colors() });
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
