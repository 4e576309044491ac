// Replacing properties, and giving them back. A replacement has the name, the length and the other properties of the
// real function, so that code sees little difference.

export type AnyFunction = (this: unknown, ...args: never[]) => unknown

export type Getter = (self: unknown) => unknown

/** Properties of functions that no replacement takes from the real one. */
const OWN = new Set<PropertyKey>(['prototype', 'arguments', 'caller'])

export const isFunction = (value: unknown): value is AnyFunction => typeof value === 'function'

export const call = (run: AnyFunction, self: unknown, args: readonly unknown[]): unknown =>
  Reflect.apply(run, self, args)

/** Gives the replacement all properties of the real function. `change` may exchange the functions among them. */
export function disguise<Replacement extends object>(
  replacement: Replacement,
  real: AnyFunction,
  change?: (key: PropertyKey, value: AnyFunction) => unknown,
): Replacement {
  for (const key of Reflect.ownKeys(real)) {
    const property = Object.getOwnPropertyDescriptor(real, key)
    if (property === undefined || OWN.has(key)) continue
    if (change !== undefined && isFunction(property.value)) property.value = change(key, property.value)
    Object.defineProperty(replacement, key, { ...property, configurable: true })
  }
  return replacement
}

/** The property of this name, of the object or of what it inherits from. */
function findProperty(target: object, key: PropertyKey): PropertyDescriptor | undefined {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    const property = Object.getOwnPropertyDescriptor(at, key)
    if (property !== undefined) return property
  }
  return undefined
}

interface Replaced {
  readonly real: AnyFunction
  readonly replacement: object
}

/** The replacements that were made for the properties of an object. */
const known = new WeakMap<object, Map<PropertyKey, Replaced>>()

/** Makes a replacement once: a search runs thousands of simulations. */
function replacementOf(
  target: object,
  key: PropertyKey,
  real: AnyFunction,
  make: (real: AnyFunction) => object,
): object {
  const ofTarget = known.get(target) ?? new Map<PropertyKey, Replaced>()
  const before = ofTarget.get(key)
  if (before?.real === real) return before.replacement
  const replacement = make(real)
  ofTarget.set(key, { real, replacement })
  known.set(target, ofTarget)
  return replacement
}

/** The properties that are replaced now. */
export class Replacements {
  readonly #originals: (() => void)[] = []

  /** Replaces a method. What has no such method stays as it is: another version of Node may have it. */
  method(target: object, key: PropertyKey, make: (real: AnyFunction) => object): void {
    const property = findProperty(target, key)
    if (property === undefined) return
    const original = Object.getOwnPropertyDescriptor(target, key)
    const { get, enumerable = false } = property
    // A getter of Node may define the property, with what it has loaded.
    const real: unknown = get === undefined ? property.value : Reflect.apply(get, target, [])
    if (!isFunction(real)) return
    const value = replacementOf(target, key, real, make)
    this.#define(target, key, { value, writable: true, enumerable }, original)
  }

  /** Replaces what the property returns when it is read. `real` and the result have the object as an argument. */
  value(target: object, key: PropertyKey, make: (real: Getter) => Getter): void {
    const property = findProperty(target, key)
    if (property === undefined) return
    const { get, set, value, enumerable = false } = property
    const real: Getter = (self) => (get === undefined ? value : Reflect.apply(get, self, []))
    const replacement = make(real)
    const getter = function (this: unknown): unknown {
      return replacement(this)
    }
    this.#define(target, key, { get: getter, ...(set && { set }), enumerable })
  }

  /** Assigns the value of now again when everything is given back. */
  keep(target: object, key: PropertyKey): void {
    const value: unknown = Reflect.get(target, key)
    this.#originals.push(() => void Reflect.set(target, key, value))
  }

  /** Adds a property that is gone when everything is given back. */
  mark(target: object, key: PropertyKey): void {
    this.#define(target, key, { value: true })
  }

  /** Gives everything back. */
  undo(): void {
    for (const giveBack of this.#originals.splice(0).reverse()) giveBack()
  }

  #define(
    target: object,
    key: PropertyKey,
    property: PropertyDescriptor,
    original = Object.getOwnPropertyDescriptor(target, key),
  ): void {
    Object.defineProperty(target, key, { ...property, configurable: true })
    this.#originals.push(() => {
      if (original === undefined) Reflect.deleteProperty(target, key)
      else Object.defineProperty(target, key, original)
    })
  }
}
