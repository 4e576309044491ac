import { freePorts } from '../../src/local/addresses.ts'

/** Below the ports that the system gives to outgoing connections. */
const FROM = 20_000
const SPREAD = 10_000

/** The first of `count` consecutive ports that are free now. */
export async function consecutivePorts(count: number): Promise<number> {
  for (;;) {
    const from = FROM + Math.floor(Math.random() * SPREAD)
    const ports = await freePorts(from, count)
    if (ports.at(-1) === from + count - 1) return from
  }
}
