/** A value that is loaded when it is first needed, such as a module. After a failure, the next caller tries again. */
export class LazyValue<T> {
  readonly #load: () => Promise<T>
  #value: Promise<T> | undefined

  constructor(load: () => Promise<T>) {
    this.#load = load
  }

  /** The value if anybody has needed it. */
  get requested(): Promise<T> | undefined {
    return this.#value
  }

  get(): Promise<T> {
    this.#value ??= this.#load().catch((error: unknown) => {
      this.#value = undefined
      throw error
    })
    return this.#value
  }
}
