/* The box above the boxes of a list: it ticks all jobs of the page. Without this script it is not shown. */
(() => {
  "use strict";
  const boxes = () => [...document.querySelectorAll("#live [name=id]")];

  const say = () => {
    const every = document.getElementById("every");
    if (!every) return;
    const ticked = boxes().filter((box) => box.checked).length;
    every.hidden = false;
    every.checked = ticked > 0 && ticked === boxes().length;
    every.indeterminate = ticked > 0 && !every.checked;
  };

  document.addEventListener("change", (event) => {
    if (event.target.id === "every") for (const box of boxes()) box.checked = event.target.checked;
    say();
  });
  document.addEventListener("htmx:afterSwap", say);
  say();
})();
