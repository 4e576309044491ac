/** Fails for a value that the types exclude: every kind of a union is handled before. `what` names the union. */
export function assertNever(value: never, what = 'value'): never {
  throw new TypeError(`not a known ${what}: ${JSON.stringify(value)}`)
}
