// Makes what is shown equal to what is wanted with as few changes as possible, so that whoever reads,
// scrolls, has the focus somewhere or listens to a screen reader is not disturbed by what changes.
//
// Elements with `data-key` are told apart by it; those with `data-keep` stay as they are.

/** Make the children of `parent` equal to `wanted`, an array of nodes. */
export function morph(parent, wanted) {
  const keyed = new Map([...parent.childNodes]
    .filter((child) => child.dataset?.key).map((child) => [child.dataset.key, child]));
  let place = parent.firstChild;
  for (const child of wanted) {
    const node = typeof child === "string" ? document.createTextNode(child) : child;
    const key = node.dataset?.key;
    const old = key ? keyed.get(key) : place;
    if (!old || !fits(old, node)) {
      parent.insertBefore(node, place);
      continue;
    }
    if (old === place) place = place.nextSibling;
    else parent.insertBefore(old, place);
    patch(old, node);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function fits(old, wanted) {
  return old.nodeType === wanted.nodeType && old.nodeName === wanted.nodeName &&
    old.dataset?.key === wanted.dataset?.key;
}

function patch(old, wanted) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return;
  }
  if (old.dataset.keep !== undefined && wanted.dataset.keep !== undefined) return;
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morph(old, [...wanted.childNodes]);
}
