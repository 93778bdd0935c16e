// Every element with text of its own whose contrast with its background is under WCAG's 4.5, in words.
const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const rgba = (colour) => {
  const numbers = colour.match(/[\d.]+/g).map(Number);
  const scale = colour.startsWith("color(") ? 1 : 255;
  return { rgb: numbers.slice(0, 3).map((value) => value / scale), alpha: numbers[3] ?? 1 };
};
const luminance = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const backgroundOf = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const { rgb, alpha } = rgba(getComputedStyle(at).backgroundColor);
    if (alpha === 1) return rgb;
  }
  return [1, 1, 1];
};
const faint = [];
for (const element of document.body.querySelectorAll("*")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility() || element.closest(".unseen, noscript, script")) continue;
  const [light, dark] = [luminance(rgba(getComputedStyle(element).color).rgb), luminance(backgroundOf(element))].sort((a, b) => b - a);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) faint.push(`${element.tagName} ${element.className} "${element.textContent.trim().slice(0, 30)}": ${contrast.toFixed(2)}`);
}
return faint;
