// `fetch` of a simulated process.

import { currentProcess } from './process-globals.ts'
import { type AnyFunction, call, disguise, type Replacements } from './replacements.ts'

const fetchOf = (real: AnyFunction): object =>
  disguise((...args: unknown[]): unknown => {
    const host = currentProcess()
    return host === undefined ? call(real, globalThis, args) : request(args, (made) => host.fetch(made))
  }, real)

/** Rejects where the arguments make no request. */
async function request(args: unknown[], send: (request: Request) => Promise<Response>): Promise<Response> {
  const [input, init] = args as ConstructorParameters<typeof Request>
  return send(new Request(input, init))
}

export function replaceFetch(replacements: Replacements): void {
  replacements.method(globalThis, 'fetch', fetchOf)
}
