// Text that a simulated process writes.

import { AsyncLocalStorage } from 'node:async_hooks'
import { Console } from 'node:console'
import fs, { writeSync } from 'node:fs'
import { Writable } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { VirtualHost, virtualHost } from './virtual-host.ts'

const textOf = (host: VirtualHost, stream: string): string =>
  host.written
    .filter(([of]) => of === stream)
    .map(([, text]) => text)
    .join('')

/** Everything that a console prints without a clock. */
function print(console: Console): void {
  console.log('%s has %d', 'x', 5, { a: [1, 'b'] })
  console.info('info')
  console.debug('debug\nin two lines')
  console.group('group')
  console.error(new Error('error').message)
  console.warn('warn')
  console.table([{ a: 1 }, { a: 2 }])
  console.groupEnd()
  console.dir({ a: { b: { c: { d: 1 } } } }, { depth: 0 })
  console.assert(1 > 2, 'assertion')
  console.count('n')
  console.count('n')
  console.countReset('n')
  console.count('n')
}

test('console prints as that of Node, to the streams of the process', () => {
  const node: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk, _encoding, done) {
        node[name] += chunk
        done()
      },
    })
  print(new Console({ stdout: stream('stdout'), stderr: stream('stderr') }))
  const host = virtualHost()
  host.run(() => print(console))
  expect(node.stdout).toContain('x has 5')
  expect(textOf(host, 'stdout')).toBe(node.stdout)
  expect(textOf(host, 'stderr')).toBe(node.stderr)
})

test.each([
  [1.5, '1.5ms'],
  [2500, '2.500s'],
  [125_250, '2:05.250 (m:ss.mmm)'],
  [3_725_250, '1:02:05.250 (h:mm:ss.mmm)'],
])('console.time measures %d ms by the clock of the process', async (ms, text) => {
  const host = virtualHost()
  host.run(() => console.time('it'))
  await host.advance(ms)
  host.run(() => {
    console.timeLog('it', 'so far')
    console.timeEnd('it')
    console.timeEnd('it')
  })
  expect(textOf(host, 'stdout')).toBe(`it: ${text} so far\nit: ${text}\n`)
})

test('each process has its own groups', () => {
  const host = virtualHost()
  const other = new VirtualHost()
  host.run(() => console.group('group'))
  other.run(() => console.log('of the other'))
  expect(textOf(other, 'stdout')).toBe('of the other\n')
})

test('what a process writes to its streams and their descriptors is text of the process', async () => {
  const host = virtualHost()
  const called: unknown[] = []
  const written = host.run(() => {
    expect(process.stdout.write('text ')).toBe(true)
    process.stdout.write(Buffer.from('bytes '))
    process.stdout.write('6869', 'hex')
    process.stderr.write('error', () => called.push('called'))
    expect(called).toEqual([])
    expect(writeSync(1, ' of sync')).toBe(8)
    expect(writeSync(1, Buffer.from('a part of it'), 1, 5)).toBe(5)
    expect(writeSync(1, '2068', null, 'hex')).toBe(2)
    // An overload that its types do not have.
    expect(Reflect.apply(writeSync, fs, [1, Buffer.from('options'), { length: 3 }])).toBe(3)
    return new Promise((resolve) => fs.write(2, Buffer.from('é'), (_error, bytes) => resolve(bytes)))
  })
  await host.advance(0)
  expect(await written).toBe(2)
  expect(textOf(host, 'stdout')).toBe('text bytes hi of sync part hopt')
  expect(textOf(host, 'stderr')).toBe('erroré')
  expect(called).toEqual(['called'])
  expect(() => host.run(() => writeSync(999, 'x'))).toThrow('refused: fs.writeSync')
})

test('console.time of a label that has ended begins again', async () => {
  const host = virtualHost()
  for (const ms of [100, 250]) {
    host.run(() => console.time('it'))
    await host.advance(ms)
    host.run(() => console.timeEnd('it'))
  }
  expect(textOf(host, 'stdout')).toBe('it: 100ms\nit: 250ms\n')
})

test('fs.write calls back in the async context of its caller', async () => {
  const host = virtualHost()
  const user = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  host.run(() => user.run('caller', () => fs.write(1, 'text', () => seen.push(user.getStore()))))
  await user.run('other', () => host.advance(0))
  expect(seen).toEqual(['caller'])
})

test('code of no process writes where it wrote before', () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const host = virtualHost()
  console.log('of the test')
  expect(log.mock.calls).toEqual([['of the test']])
  expect(host.written).toEqual([])
})

test('a warning of a process names its type', () => {
  const host = virtualHost()
  host.run(() => {
    process.emitWarning('plain')
    process.emitWarning('old', 'DeprecationWarning')
    process.emitWarning('own', { type: 'Custom' })
  })
  expect(textOf(host, 'stderr')).toBe('Warning: plain\nDeprecationWarning: old\nCustom: own\n')
})
