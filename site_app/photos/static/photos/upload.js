// Sends photos as soon as they are chosen or dropped, and says what became of each. Without JavaScript the form does it.

const form = document.querySelector("[data-upload]");
const input = form.querySelector("input[type=file]");
const progress = form.querySelector("[data-upload-progress]");
const outcome = document.querySelector("[data-upload-outcome]");

form.classList.add("drop--live");
input.addEventListener("change", () => send([...input.files]));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send([...input.files]);
});

// Drag and drop, anywhere on the page. Enter and leave come for every element on the way, so they are counted.
let inside = 0;
const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => holdsFiles(event) && mark(++inside));
addEventListener("dragleave", (event) => holdsFiles(event) && mark(--inside));
addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark((inside = 0));
  send([...event.dataTransfer.files]);
});

function mark(count) {
  form.classList.toggle("drop--over", count > 0);
}

function send(files) {
  if (files.length === 0) return;
  const limit = Number(form.dataset.maxBytes);
  const tooLarge = files.filter((file) => file.size > limit);
  const refused = tooLarge.map((file) => ({
    name: file.name,
    reason: `is larger than the ${form.dataset.maxMegabytes} MB taken here`,
  }));
  const rest = files.filter((file) => file.size <= limit);
  input.value = "";
  if (rest.length === 0) return tell({ photos: [], refused, problem: "" });
  const body = new FormData(form);
  body.delete("photos");
  rest.forEach((file) => body.append("photos", file));
  post(body, (answer) => tell({ ...answer, refused: [...refused, ...answer.refused] }));
  say(`Uploading ${count(rest.length, "photo")}.`);
}

function post(body, done) {
  const request = new XMLHttpRequest(); // fetch tells nothing of an upload's progress
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  request.upload.addEventListener("progress", (event) => (progress.value = event.loaded / event.total));
  request.addEventListener("loadend", () => {
    progress.hidden = true;
    done(understood(request));
  });
  progress.value = 0;
  progress.hidden = false;
  request.send(body);
}

function understood(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    const words = request.status === 413 ? request.responseText : "The upload did not arrive. Please try again.";
    return { photos: [], refused: [], problem: words };
  }
}

function tell({ photos, refused, problem }) {
  const lines = [];
  if (problem) lines.push(element("p", "outcome__problem", problem));
  if (photos.length) lines.push(element("p", "", `${count(photos.length, "photo")} uploaded.`));
  if (refused.length) {
    lines.push(element("p", "", `${count(refused.length, "file")} not taken:`));
    const list = element("ul", "", "");
    for (const { name, reason } of refused) {
      const item = element("li", "", "");
      item.append(element("strong", "", name), ` ${reason}.`);
      list.append(item);
    }
    lines.push(list);
  }
  outcome.replaceChildren(...lines);
}

function say(words) {
  outcome.replaceChildren(element("p", "", words));
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
