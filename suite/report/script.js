"use strict";
// Draws the figures: those in sight at once, the rest when the browser has time, all before print.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const waiting = new Set(document.querySelectorAll(".plot"));
  const coarse = matchMedia("(pointer: coarse)").matches;
  const idle = window.requestIdleCallback || ((work) => setTimeout(work, 1));

  const draw = (element) => {
    if (!waiting.delete(element)) return;
    const { data, layout } = figures[element.id];
    if (coarse) layout.dragmode = false; // a finger on a figure scrolls the page
    Plotly.newPlot(element, data, layout, { displayModeBar: false, responsive: true });
    element.on("plotly_afterplot", () => scale(element));
    scale(element);
  };

  // With a view box the style sheet can fit a drawn figure to a sheet of paper.
  const scale = (element) => {
    const { width, height } = element._fullLayout;
    element.style.setProperty("--ratio", `${width} / ${height}`);
    element.querySelectorAll(".main-svg").forEach((svg) => {
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    });
  };

  const inSight = new IntersectionObserver(
    (entries) => entries.filter((e) => e.isIntersecting).forEach((e) => draw(e.target)),
    { rootMargin: "400px" },
  );
  waiting.forEach((element) => inSight.observe(element));
  const next = () => {
    for (const element of waiting) {
      draw(element);
      idle(next);
      return;
    }
    document.documentElement.dataset.drawn = "all";
  };
  idle(next);

  // Drawn anew as wide as a column of paper is [px], so that text keeps its size.
  const column = (element) =>
    element.closest(".maps") ? 215 : element.closest(".single") ? 680 : 335;
  addEventListener("beforeprint", () => {
    waiting.forEach(draw);
    document.querySelectorAll(".plot").forEach((element) => {
      Plotly.relayout(element, { width: column(element), autosize: false });
    });
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll(".plot").forEach((element) => {
      Plotly.relayout(element, { width: null, autosize: true });
    });
  });
})();
