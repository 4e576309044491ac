// The reference of transactions: its examples are transactions, its outputs and messages those of the program.

import { expect, onTestFinished, test } from 'vitest'
import { parseTxn } from '../../../src/cli/txn/parser.ts'
import { formatSyntaxError as describe } from '../../../src/cli/txn/syntax-error.ts'
import { FakeNode, problem } from '../../client/fake-node.ts'
import { type Block, blocksOf } from '../../docs/blocks.ts'
import { kv, startKv } from '../run-kv.ts'
import { formatTxn } from './format-txn.ts'
import { errorOf } from './wrong-texts.ts'

const PAGE = 'docs/reference/txn.md'
const EXAMPLES: readonly Block[] = blocksOf(PAGE)
const examplesOf = (info: string): readonly Block[] => EXAMPLES.filter((example) => example.info === info)

const isAnswer = ({ text }: Block): boolean => text.includes('"succeeded"')
const parse = (text: string) => parseTxn(text, (path) => Buffer.from(`content of ${path}`))

/** The example that follows another one. */
function after({ line }: Block, info: string): Block {
  const found = EXAMPLES.find((example) => example.line > line && example.info === info)
  if (found === undefined) throw new Error(`no ${info} after line ${line}`)
  return found
}

test('each block is of a kind that is checked here, or is no example of ours', () => {
  const counts = Map.groupBy(EXAMPLES, ({ info }) => info)
  expect(Object.fromEntries([...counts].map(([info, blocks]) => [info, blocks.length]))).toEqual({
    sh: 1,
    txn: 8,
    'txn wrong': 2,
    json: 2,
    ebnf: 1,
    'output table': 1,
    'output plain': 1,
    session: 1,
    // A message for each wrong text.
    text: 2,
  })
})

test.each(examplesOf('txn'))('the transaction in line $line', ({ text }) => {
  const txn = parse(text)
  expect(parse(formatTxn(txn))).toEqual(txn)
})

test('the transaction in the command', () => {
  const [, text = ''] = /<<'END'\n([\s\S]*)\nEND\n/.exec(examplesOf('sh')[0]?.text ?? '') ?? []
  expect(parse(text)).toMatchObject({ compare: [{ key: 'jobs/42' }], success: [{}], failure: [{}] })
})

test('JSON and language say the same', () => {
  const [json] = examplesOf('json')
  if (json === undefined) throw new Error('no JSON')
  expect(formatTxn(parse(json.text))).toBe(formatTxn(parse(after(json, 'txn').text)))
})

test.each(['output table', 'output plain', 'json'] as const)('the example of %s', async (info) => {
  const answer = examplesOf('json').find(isAnswer)
  const txn = examplesOf('txn').findLast(({ line }) => line < (answer?.line ?? 0))
  const body = JSON.parse(answer?.text ?? '')
  const node = await FakeNode.start()
  onTestFinished(() => node.close())
  node.fault = ({ target }) => (target.startsWith('/v1/txn') ? { status: 200, body } : undefined)
  const format = info.split(' ').at(-1) ?? ''
  const { out } = await kv(['txn', '-o', format], { endpoints: node.url, stdin: txn?.text ?? '' })
  if (format === 'json') expect(JSON.parse(out)).toEqual(body)
  else expect(out).toBe(examplesOf(info)[0]?.text)
})

test('the session at a terminal', async () => {
  const node = await FakeNode.start()
  node.fault = () => problem(503, 'overloaded', 'busy')
  onTestFinished(() => node.close())
  const shown = examplesOf('session')[0]?.text ?? ''
  const running = startKv(['txn', '--timeout', '1ms'], { endpoints: node.url, terminals: ['stdin'] })
  await running.printed('Ctrl-C gives up.\n')
  const [introduction = '', typed] = shown.split(/(?<=gives up\.\n)/)
  running.stdin.end(typed)
  const { err } = await running.ended
  expect(err.startsWith(introduction)).toBe(true)
  // The text is complete, so a request was sent.
  expect(err).not.toContain('standard input')
  expect(parse(typed ?? '').success).toHaveLength(2)
})

test.each(examplesOf('txn wrong'))('the message on the text in line $line', (example) => {
  const { text } = after(example, 'text')
  expect(`error: ${describe(errorOf(example.text), 'job.txn')}\n`).toBe(text)
})
