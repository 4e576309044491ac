// Opening a scan, and each seek, costs a binary search in each layer, whatever the number of layers.

import { expect, test, vi } from 'vitest'
import type { LogIndex } from '../../src/raft/types.ts'
import { LayerCursor } from '../../src/storage/layer-cursor.ts'
import { Overlay } from '../../src/storage/overlay.ts'
import type { AppliedState } from '../../src/storage/records.ts'
import { hashOfKey, Row } from '../../src/storage/rows.ts'
import { storeLimits } from '../../src/storage/store.ts'

/** As in `store.ts`. */
const LAYERS_PER_BATCH = 16
const { batchBytesMax, batchItemsMax } = storeLimits
const RANGE = { gte: Uint8Array.of(65), lt: Uint8Array.of(66), reverse: false }
const state = (): AppliedState => ({ applied: { index: 1 as LogIndex } }) as unknown as AppliedState

/** Layers of an overlay with so many bytes of small rows, as applying makes them by default. */
function layersOf(bytes: number) {
  const overlay = new Overlay({
    bytes: batchBytesMax / LAYERS_PER_BATCH,
    items: batchItemsMax / LAYERS_PER_BATCH,
  })
  for (let n = 0; overlay.bytes < bytes; n += 4) {
    overlay.makeRoom({ bytes: 600, items: 4 }, state)
    for (let i = 0; i < 4; i++) {
      const key = Buffer.from(`Akey-${String(Math.imul(n + i, 0x9e3779b1) >>> 0).padStart(10, '0')}`)
      overlay.put(new Row(new Uint8Array(5), key, hashOfKey(key), new Uint8Array(110)))
    }
  }
  return overlay.freeze(state)
}

function comparisons(act: () => void): number {
  const spy = vi.spyOn(Buffer, 'compare')
  act()
  const { length } = spy.mock.calls
  spy.mockRestore()
  return length
}

test.each([2, 8])('the work of a cursor over %i MiB that are not durable', (MiB) => {
  const layers = layersOf(MiB * 2 ** 20)
  for (const layer of layers) layer.sorted
  let cursor: LayerCursor | undefined
  const opened = comparisons(() => {
    cursor = new LayerCursor(layers, RANGE)
  })
  const sought = comparisons(() => cursor?.seek(Buffer.from('Akey-2000000000')))
  const perLayer = (count: number) => Math.round(count / layers.length)
  // 8 for the search in a layer of 256 rows, and as many to find its place among the others.
  expect(perLayer(opened)).toBeLessThan(32)
  expect(perLayer(sought)).toBeLessThan(32)
})
