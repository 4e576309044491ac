// Opening a scan, and each seek, costs a binary search in each layer, whatever the number of layers. The number of
// layers depends on their rows, and not on the number of scans.

import { expect, test, vi } from 'vitest'
import type { LogIndex } from '../../src/raft/types.ts'
import { hashOfKey } from '../../src/storage/key-hash.ts'
import { LayerCursor } from '../../src/storage/layer-cursor.ts'
import { Overlay } from '../../src/storage/overlay.ts'
import type { AppliedState } from '../../src/storage/records.ts'
import { RowTable } from '../../src/storage/row-table.ts'
import { Row } from '../../src/storage/rows.ts'
import { storeLimits } from '../../src/storage/store.ts'

const { batchBytesMax, batchItemsMax } = storeLimits
const RANGE = { gte: Uint8Array.of(65), lt: Uint8Array.of(66), reverse: false }
const state = (): AppliedState => ({ applied: { index: 1 as LogIndex } }) as unknown as AppliedState

const newOverlay = (): Overlay => new Overlay({ bytes: batchBytesMax, items: batchItemsMax })

/** Applies an entry of four rows. */
function apply(overlay: Overlay, n: number): void {
  overlay.makeRoom({ bytes: 600, items: 4 }, state)
  for (let i = 0; i < 4; i++) {
    const key = Buffer.from(`Akey-${String(Math.imul(n + i, 0x9e3779b1) >>> 0).padStart(10, '0')}`)
    overlay.put(new Row(new Uint8Array(5), key, hashOfKey(key), new Uint8Array(110)))
  }
}

/** Layers of an overlay with so many bytes of small rows, as applying makes them by default. */
function layersOf(bytes: number) {
  const overlay = newOverlay()
  for (let n = 0; overlay.bytes < bytes; n += 4) apply(overlay, n)
  return overlay.freeze(state)
}

function comparisons(act: () => void): number {
  const spy = vi.spyOn(Buffer, 'compare')
  act()
  const { length } = spy.mock.calls
  spy.mockRestore()
  return length
}

test.each([1, 4])('the work of a cursor over %i MiB that are not durable', (MiB) => {
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
  // A transaction without changes reads one key after the other.
  const soughtKey = comparisons(() =>
    cursor?.seek(Buffer.from('Akey-2000000000'), Buffer.from('Akey-2000000000!')),
  )
  expect(perLayer(soughtKey)).toBeLessThan(12)
})

test('a scan sorts the rows of two batches and of one layer at most, however many are not durable', () => {
  const layers = layersOf(4 * 2 ** 20)
  const rows = layers.reduce((sum, { size }) => sum + size, 0)
  expect(rows).toBeGreaterThan(6 * batchItemsMax)
  const sorts = comparisons(() => {
    for (const layer of layers) layer.sorted
  })
  // Nothing is sorted before a disk is behind by two batches.
  const [layerRows, comparisonsPerRow] = [256, 8]
  expect(sorts).toBeLessThan((2 * batchItemsMax + layerRows) * comparisonsPerRow)
  expect(sorts).toBeGreaterThan(batchItemsMax * (comparisonsPerRow / 2))
})

test('a scan after each entry adds a logarithmic number of layers, and copies a row as often', () => {
  const overlay = newOverlay()
  const rows = 4 * 1000
  const put = vi.spyOn(RowTable.prototype, 'put')
  for (let n = 0; n < rows; n += 4) {
    apply(overlay, n)
    overlay.freeze(state)
  }
  const copied = put.mock.calls.length - rows
  put.mockRestore()
  const layers = overlay.freeze(state)
  const rowsMax = 256
  expect(layers.reduce((sum, { size }) => sum + size, 0)).toBe(rows)
  // Two neighbours hold more than fits into one. Before the newest rows are as many, each half of the one before.
  expect(layers.length).toBeLessThan((2 * rows) / rowsMax + Math.log2(rowsMax))
  expect(copied / rows).toBeLessThan(2 * Math.log2(rowsMax))
})
