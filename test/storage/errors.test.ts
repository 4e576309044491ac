// The first error: kept with the explanation from when it occurred, reported once, and returned by every later call.

import { describe, expect, test } from 'vitest'
import {
  CorruptionError,
  isDiskFull,
  StorageFailedError,
  StorageInUseError,
  StorageInvariantError,
  StorageRefusedError,
  UnfitReplicaError,
} from '../../src/storage/errors.ts'
import { StickyError } from '../../src/storage/sticky-error.ts'
import { asError } from '../../src/system/errors.ts'

const coded = (message: string, code: string): Error => Object.assign(new Error(message), { code })
const wrapped = (cause: unknown): Error => new Error('Database failed', { cause })

test('errors have the names that logs and scripts look for', () => {
  expect(
    [StorageRefusedError, StorageInUseError, CorruptionError, StorageFailedError, StorageInvariantError].map(
      (Kind) => String(new Kind('why')),
    ),
  ).toEqual([
    'StorageRefusedError: why',
    'StorageInUseError: why',
    'CorruptionError: why',
    'StorageFailedError: why',
    'InvariantError: why',
  ])
  expect(String(new UnfitReplicaError('n1 has diverged'))).toMatch(
    /^UnfitReplicaError: n1 has diverged\. What this replica promised .* --join URL --replace\. Without a majority of other replicas, restore a backup\.$/,
  )
})

test.each<[boolean, unknown]>([
  [true, new Error('ENOSPC: no space left on device, write')],
  [true, new Error('EDQUOT: x')],
  [true, new Error('IO error: /a/000003.log: No space left on device')],
  [true, new Error('Disk quota exceeded')],
  [true, wrapped(wrapped(new Error('No space left on device')))],
  [false, new Error('EIO: i/o error')],
  [false, wrapped(new Error('EIO: i/o error'))],
  [false, 'ENOSPC'],
  [false, undefined],
])('says %j to whether the disk is full: %s', (expected, error) => {
  expect(isDiskFull(error)).toBe(expected)
})

describe('an error is explained', () => {
  const full =
    /^The disk is full: No space left on device\. .* nothing before it is lost\. Free space on the disk/
  const failed = /^The storage failed: EIO: i\/o error\. Nothing was acknowledged .* start the node again/
  const damaged =
    /^Damaged data: the checksum\. What this replica promised .* --join URL --replace\. .*backup\.$/

  test.each<[unknown, string, RegExp]>([
    [new CorruptionError('the checksum'), 'CorruptionError', damaged],
    [coded('the checksum', 'LEVEL_CORRUPTION'), 'CorruptionError', damaged],
    [wrapped(wrapped(new Error('No space left on device'))), 'StorageFailedError', full],
    [new Error('EIO: i/o error'), 'StorageFailedError', failed],
    [coded('EIO: i/o error', 'LEVEL_IO_ERROR'), 'StorageFailedError', failed],
    [wrapped(wrapped(new Error('EIO: i/o error'))), 'StorageFailedError', failed],
    ['EIO: i/o error', 'StorageFailedError', failed],
  ])('%s', (thrown, name, message) => {
    const error = new StickyError().fail(thrown)
    expect(error).toMatchObject({ name, message: expect.stringMatching(message) })
    expect(error.cause).toEqual(asError(thrown))
  })

  test.each([[new StorageInvariantError('a promise')], [new StorageRefusedError('not here')]])(
    'but not %s',
    (error) => {
      expect(new StickyError().fail(error)).toBe(error)
    },
  )
})

describe('the first error', () => {
  test('is kept from the moment when it occurs', () => {
    const first = new StickyError()
    expect(first.error).toBeUndefined()
    first.check()
    expect(first.guard(() => 7)).toBe(7)
    const met = first.fail(new Error('one'))
    expect(first.fail(new Error('two'))).toBe(met)
    expect(first.error).toBe(met)
    expect(() => first.check()).toThrow(met)
    let runs = 0
    expect(() => first.guard(() => runs++)).toThrow(met)
    expect(runs).toBe(0)
  })

  test('is what a guarded call throws', () => {
    const first = new StickyError()
    const run = (): never => {
      throw new Error('EIO')
    }
    expect(() => first.guard(run)).toThrow('The storage failed: EIO')
    expect(first.error).toMatchObject({ name: 'StorageFailedError' })
  })

  test('is told once: at once, or when the owner begins to listen', () => {
    const told: Error[] = []
    const early = new StickyError()
    early.whenFailed((error) => told.push(error))
    expect(told).toEqual([])
    const met = early.fail(new Error('one'))
    early.fail(new Error('two'))
    expect(told).toEqual([met])
    const late = new StickyError()
    const before = late.fail(new Error('three'))
    late.whenFailed((error) => told.push(error))
    expect(told).toEqual([met, before])
  })
})
