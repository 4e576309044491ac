// When a node collects the buffers outside of its heap: the young generation, or everything.

import { expect, test } from 'vitest'
import { BufferCollector } from '../../../src/server/process/small-heap.ts'

const MB = 1024 * 1024

/** A process whose heap grows by 1 MB from look to look; a collection makes it small. */
class Process {
  readonly #watch = new BufferCollector()
  #nowMs = 0
  #heap = 20
  #buffers: number

  constructor(buffers: number) {
    this.#buffers = buffers
    this.look()
  }

  collects(): void {
    this.#heap = 20
  }

  look(buffers = this.#buffers): string | undefined {
    this.#buffers = buffers
    this.#nowMs += 20
    this.#heap++
    return this.#watch.look(this.#nowMs, this.#heap * MB, buffers * MB)
  }

  /** Looks until nothing is to be collected. Each collection leaves this many MB, which is counted a look later. */
  settle(left: (type: string) => number): string[] {
    const done: string[] = []
    for (let type = this.look(); type !== undefined; type = this.look(left(type))) {
      done.push(type)
      this.collects()
      expect(this.look()).toBe(undefined)
    }
    return done
  }
}

test('buffers that have grown by 8 MB are collected with the young generation', () => {
  const process = new Process(10)
  expect(process.look(17)).toBe(undefined)
  expect(process.look(18)).toBe('minor')
})

test('what a collection has brought is seen a look after it, when another thread has freed the buffers', () => {
  const process = new Process(10)
  process.look(40)
  process.collects()
  expect(process.settle(() => 10)).toEqual([])
  process.look(10)
  expect(process.look(18)).toBe('minor')
})

test('a collection by V8 itself is waited for alike', () => {
  const process = new Process(10)
  process.look(17)
  process.collects()
  expect(process.look(30)).toBe(undefined)
  expect(process.look(11)).toBe(undefined)
})

test('what the young generation does not free makes a full collection due: by 16 MB, or by 8 MB after 20 s', () => {
  const process = new Process(10)
  expect(process.look(26)).toBe('minor')
  process.collects()
  process.look()
  expect(process.settle((type) => (type === 'minor' ? 26 : 10))).toEqual(['major'])
  expect(process.look(18)).toBe('minor')
  process.collects()
  process.look()
  expect(process.settle(() => 18)).toEqual([])
  for (let look = 0; look < 1000; look++) expect(process.look(18)).toBe(undefined)
  expect(process.look(26)).toBe('minor')
  process.collects()
  process.look(19)
  expect(process.look(19)).toBe('major')
})

test('buffers that stay are not collected again and again', () => {
  const process = new Process(10)
  expect(process.look(100)).toBe('minor')
  process.collects()
  process.look()
  expect(process.settle(() => 100)).toEqual(['major'])
  for (let look = 0; look < 2000; look++) expect(process.look(100 + (look % 8))).toBe(undefined)
})
