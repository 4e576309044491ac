// Objects of a custom resource, which are written as pods are: created, bound to a node, running, and deleted at times.

import type { Ledger } from './ledger.ts'

export const WIDGETS = '/apis/quorate.test/v1/namespaces/load/widgets'
const WORKERS = 16
const NODES = 20
const ROUNDS_OF_LIFE = 20

export const widget = (name: string, spec: object): object => ({
  apiVersion: 'quorate.test/v1',
  kind: 'Widget',
  metadata: { name, namespace: 'load' },
  spec,
})

/** Creates objects, binds each to a node, sets its status, and deletes every fifth. */
export async function bindObjects(ledger: Ledger, count: number): Promise<void> {
  await concurrently(count, async (at) => {
    const name = `bound-${at}`
    const path = `${WIDGETS}/${name}`
    await ledger.write('POST', WIDGETS, widget(name, { text: 'x'.repeat(1_000) }), path)
    await ledger.write('PATCH', path, { spec: { node: `node-${at % NODES}` } })
    await ledger.write('PATCH', `${path}/status`, { status: { phase: 'Running' } }, path)
    if (at % 5 === 4) await ledger.write('DELETE', path)
  })
}

/** Name of the objects that `changeObjects` changes. */
export const CHANGED = 'changed-'

/** Objects that only this changes: each is created, updated under its resource version, and deleted at times. */
export async function changeObjects(ledger: Ledger, count: number, signal: AbortSignal): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const name = `${CHANGED}${at}`
      const path = `${WIDGETS}/${name}`
      for (let round = 0; !signal.aborted; round++) {
        const spec = { round, text: 'x'.repeat(200) }
        if (round % ROUNDS_OF_LIFE === ROUNDS_OF_LIFE - 1) await ledger.write('DELETE', path)
        const reply = await ledger.read(path)
        if (reply.status === 404) await ledger.write('POST', WIDGETS, widget(name, spec), path)
        else await ledger.write('PUT', path, { ...reply.body, spec })
      }
    }),
  )
}

export async function concurrently(
  count: number,
  act: (at: number) => Promise<void>,
  workers = WORKERS,
): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < count; at = next++) await act(at)
  }
  await Promise.all(Array.from({ length: Math.min(workers, count) }, work))
}
