// `jepsen-lite check` as a script sees it: exit codes and documents.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { formatEvent } from '../../../jepsen-lite/history.ts'
import { append, get, put, Story } from '../checker/story.ts'

const BIN = join(import.meta.dirname, '../../../bin/jepsen-lite.js')
const folder = mkdtempSync(join(tmpdir(), 'quorate-check-'))
afterAll(() => rmSync(folder, { recursive: true }))

function check(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'check', ...args], {
    cwd: folder,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

function write(name: string, story: Story): string {
  mkdirSync(join(folder, name, '..'), { recursive: true })
  writeFileSync(join(folder, name), story.events.map(formatEvent).join('\n'))
  return name
}

const ok = write('ok.jsonl', new Story().tell(put('x', '1'), {}).tell(get('x'), { value: '1' }))
const bad = write('bad.jsonl', new Story().tell(put('x', '1'), {}).tell(get('x'), { value: '2' }))

test('nothing wrong: 0', () => {
  const { status, stdout, stderr } = check(ok)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/^ok {10}ok\.jsonl {2}\(2 operations, 0 of unknown outcome, 1 key, [0-9.]+ ms\)\n$/)
})

test('a violation: 1, with the operations that show it', () => {
  const { status, stdout } = check(ok, bad)
  expect(status).toBe(1)
  expect(stdout).toContain('linearizability: operation 2 fits nowhere')
  expect(stdout).toContain('{"f":"get","key":"x"} → {"value":"2"}')
})

test('undecided: 2', () => {
  const story = new Story()
  const writes = Array.from({ length: 12 }, (_, n) => story.ask(append('x', `${n % 3}`), `client ${n}`))
  for (const one of writes) one.ok()
  const file = write('large.jsonl', story.tell(get('x'), { value: 'something else' }))
  expect(check(file, '--budget', '1000')).toMatchObject({ status: 2 })
})

test.each([
  ['a flag that does not exist', ['ok.jsonl', '--bogus'], '--bogus'],
  ['a model that does not exist', ['ok.jsonl', '--model', 'queue'], 'queue'],
  ['a model that does not know an operation', ['ok.jsonl', '--model', 'lock'], 'knows no put'],
  ['a file that does not exist', ['nowhere.jsonl'], 'nowhere.jsonl'],
  ['a format that it is not', ['ok.jsonl', '--format', 'porcupine'], 'line 1'],
])('%s: 3', (_, args, words) => {
  const { status, stdout, stderr } = check(...args)
  expect(status).toBe(3)
  expect(stdout + stderr).toContain(words)
})

test('one document for many files; of a run only its history, of a directory no README', () => {
  write('many/run/history.jsonl', new Story().tell(put('x', '1'), {}))
  for (const name of ['many/run/n1.log', 'many/README.md', 'many/EXPECTED.tsv']) {
    writeFileSync(join(folder, name), 'no history')
  }
  const { status, stdout } = check('many', bad, '-o', 'json')
  expect(status).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    verdict: 'violation',
    files: [
      { file: join('many', 'run', 'history.jsonl'), verdict: 'ok', linearizable: true, violations: 0 },
      {
        file: 'bad.jsonl',
        verdict: 'violation',
        linearizable: false,
        violations: 1,
        violation_details: [{ check: 'linearizability', key: 'x', calls: [2] }],
      },
    ],
  })
})
