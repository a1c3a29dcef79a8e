// What a person points at stays where it is: what would move it waits.

/** A pointer that rests for longer is parked: nobody is about to press. */
const PARKED_MS = 10_000;
const LOOK_MS = 250;

let movedMs = -Infinity;

for (const type of ["pointermove", "wheel"]) {
  document.addEventListener(type, (event) => {
    if (!(event instanceof PointerEvent) || event.pointerType !== "touch") movedMs = performance.now();
  }, { passive: true });
}

/** Whether a mouse or a pen is at work over an element. @param {Element} element */
export const isPointedAt = (element) => performance.now() - movedMs < PARKED_MS && element.matches(":hover");

/** Does something as soon as nobody points at an element: at once, where nobody does. */
export class Turn {
  #timer = 0;
  #element;
  #work;

  /** @param {Element} element @param {() => void} work done once, however often it was wanted meanwhile */
  constructor(element, work) {
    this.#element = element;
    this.#work = work;
  }

  want() {
    clearTimeout(this.#timer);
    if (isPointedAt(this.#element)) this.#timer = setTimeout(() => this.want(), LOOK_MS);
    else this.#work();
  }
}
