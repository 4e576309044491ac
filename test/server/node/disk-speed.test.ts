// The measured speed of a disk. A full batch has 1000 bytes or 10 entries, and things may wait for 4 s.

import { expect, test } from 'vitest'
import { DiskSpeed } from '../../../src/server/node/write/disk-speed.ts'

class Disk {
  now = 0
  readonly speed = new DiskSpeed({ batchBytesMax: 1000, batchItemsMax: 10 }, 4000)

  batch(bytes: number, items: number, ms: number): void {
    this.speed.began({ bytes, items }, this.now)
    this.now += ms
    this.speed.ended(this.now)
  }
  get room(): { bytes: number; items: number } {
    const { bytes, items } = this.speed.room(this.now)
    return { bytes: Math.round(bytes), items: Math.round(items) }
  }
  get bytes(): number {
    return this.room.bytes
  }
}

test('nothing limits what waits before the first batch, which counts while it is written', () => {
  const disk = new Disk()
  expect(disk.bytes).toBe(Number.POSITIVE_INFINITY)
  disk.speed.began({ bytes: 500, items: 1 }, 0)
  disk.now = 100
  expect(disk.bytes).toBe(20_000)
  disk.now = 400
  expect(disk.bytes).toBe(5000)
  disk.speed.ended(400)
  expect(disk.bytes).toBe(5000)
})

test('as much may wait as is stored in time, in bytes and in entries', () => {
  const disk = new Disk()
  for (let times = 0; times < 10; times++) disk.batch(1000, 1, 400)
  expect(disk.room).toEqual({ bytes: 10_000, items: 100 })
  const other = new Disk()
  for (let times = 0; times < 10; times++) other.batch(10, 10, 400)
  expect(other.room).toEqual({ bytes: 10_000, items: 100 })
})

test('a small batch takes as long as a somewhat larger one, so it does not make the disk seem slow', () => {
  const disk = new Disk()
  for (let times = 0; times < 50; times++) disk.batch(1, 1, 1)
  // An entry is a tenth of a full batch.
  expect(disk.bytes).toBe(400_000)
})

test('a disk that becomes slow is noticed within few batches, and one that recovers too', () => {
  const disk = new Disk()
  for (let times = 0; times < 100; times++) disk.batch(1000, 10, 1)
  for (let times = 0; times < 3; times++) disk.batch(1000, 10, 500)
  expect(disk.bytes).toBeLessThan(2 * 8000)
  for (let times = 0; times < 20; times++) disk.batch(1000, 10, 1)
  expect(disk.bytes).toBeGreaterThan(1_000_000)
})

test('full batches and small rests between them give the speed of both', () => {
  const disk = new Disk()
  for (let times = 0; times < 20; times++) {
    disk.batch(1000, 1, 300)
    expect(disk.bytes).toBeGreaterThan(4000)
    disk.batch(62.5, 0, 300)
    expect(disk.bytes).toBeLessThan(10_000)
  }
})
