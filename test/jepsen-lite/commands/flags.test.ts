// Flags are refused before anything runs, not taken for something else.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { list, whole } from '../../../jepsen-lite/commands/flags.ts'

const JEPSEN_LITE = join(import.meta.dirname, '../../../bin/jepsen-lite.js')

test.each(['1', '7', '007'])('%s is a whole number from 1 to 7', (text) => {
  expect(whole(1, 7)(text)).toBe(Number(text))
})

test.each(['', ' ', '0', '8', '-1', '1.5', '1e0', '0x1', 'seven', '99999999999999999999'])(
  '"%s" is none',
  (text) => {
    expect(() => whole(1, 7)(text)).toThrow('It must be a whole number from 1 to 7.')
  },
)

test('a list has words', () => {
  expect(list('kill,pause')).toEqual(['kill', 'pause'])
})

test.each(['', ',', ',,'])('"%s" is no list: nothing would be run, and passed', (text) => {
  expect(() => list(text)).toThrow('At least one name is needed.')
})

test.each([
  'sim --schedules 0',
  'sim --time 0',
  'power --states 0',
  'power --sessions 0',
  'mutants --only ,',
  'run --nemesis ,',
])('%s would prove nothing: it is a usage error', (line) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [JEPSEN_LITE, ...line.split(' ')])
  expect(stderr.toString()).toContain(' is invalid. ')
  expect({ status, out: stdout.toString() }).toEqual({ status: 3, out: '' })
})

test('whose output nobody takes any more has not passed before it is done', () => {
  const main = join(import.meta.dirname, '../../../jepsen-lite/main.ts')
  const closed = "Object.assign(new Error('closed'), { code: 'EPIPE' })"
  const script = `import(${JSON.stringify(main)}).then(({ main }) => {
    void main(['sim', '--schedules', '1', '--seed', '1'])
    process.stdout.emit('error', ${closed})
  })`
  expect(spawnSync(process.execPath, ['-e', script]).status).toBe(3)
})
