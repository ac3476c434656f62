// A press counts although the page moves under it: a field that loses the focus sends what was typed, and what is said
// about it may move the button before it is released. A pointer that is moved away takes a press back, as everywhere.
(() => {
  const still = 5;
  let pressed = null;
  addEventListener("pointerdown", (down) => {
    const button = down.button === 0 && down.target.closest ? down.target.closest("button") : null;
    pressed = button && { button, x: down.clientX, y: down.clientY };
  }, true);
  addEventListener("pointerup", (up) => {
    const last = pressed;
    pressed = null;
    if (!last || Math.hypot(up.clientX - last.x, up.clientY - last.y) > still) return;
    if (!last.button.contains(up.target)) last.button.click();
  }, true);
})();
