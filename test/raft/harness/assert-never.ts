export function assertNever(value: never): never {
  throw new Error(`unforeseen: ${JSON.stringify(value)}`)
}
