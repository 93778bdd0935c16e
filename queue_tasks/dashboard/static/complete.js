/* Completes the word that is being written in the filter, not only the first: the browser's own list, whose keys and
   speech everybody knows. Without this script the list still offers the first word. */
(() => {
  "use strict";
  const field = document.getElementById("q");
  const list = document.getElementById("words");
  if (!field || !list) return;
  const words = Array.from(list.options, (option) => option.value);
  const MOST = 30;

  const fitting = (begun) => {
    const small = begun.toLowerCase();
    const colon = small.indexOf(":");
    if (!small) return words.filter((word) => word.endsWith(":"));
    return words.filter((word) => {
      const other = word.toLowerCase();
      if (other === small) return false;
      if (other.startsWith(small)) return true;
      return colon > 0 && other.startsWith(small.slice(0, colon + 1)) && other.slice(colon).includes(small.slice(colon + 1));
    });
  };

  const offer = () => {
    const text = field.value;
    if ((text.match(/"/g) || []).length % 2) return;
    const start = text.lastIndexOf(" ") + 1;
    const before = text.slice(0, start);
    const options = fitting(text.slice(start)).slice(0, MOST).map((word) => {
      const option = document.createElement("option");
      option.value = before + word;
      return option;
    });
    list.replaceChildren(...options);
  };

  field.addEventListener("input", offer);
  offer();
})();
