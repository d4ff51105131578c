"use strict";
// Shows the rows that have every fact chosen, and the groups that have such rows.
(() => {
  const form = document.querySelector(".filters");
  if (!form) return;
  const rows = [...document.querySelectorAll("tbody tr")];
  const show = () => {
    const chosen = [...form.elements].filter((e) => e.value && e.tagName === "SELECT");
    let shown = 0;
    for (const row of rows) {
      row.hidden = chosen.some((select) => row.dataset[select.name] !== select.value);
      shown += !row.hidden;
    }
    for (const section of document.querySelectorAll("section")) {
      section.hidden = !section.querySelector("tbody tr:not([hidden])");
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} records`;
  };
  form.hidden = false;
  form.addEventListener("change", show);
  show(); // a browser may keep what was chosen before
})();
