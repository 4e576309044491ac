// The ts blocks as programs: with what a fragment needs around it, and with the modules, addresses and ports of a test
// in place of those of the page. A line of the block has its number in the block, and one more, in its program.

import { join } from 'node:path'
import { type Block, blockNamed, root } from './blocks.ts'
import { FRAGMENTS } from './fragments.ts'

const MODULES: Readonly<Record<string, string>> = {
  quorate: 'src/index.ts',
  'quorate/recipes': 'src/recipes/index.ts',
  'quorate/etcd': 'src/etcd-client/index.ts',
  'quorate/testing': 'jepsen-lite/testing/index.ts',
}

export interface Surroundings {
  readonly endpoints: readonly string[]
  /** The first of ten ports that are free: for 7301 to 7305, and 7401 to 7405. */
  readonly port: number
}

export function programOf(block: Block, { endpoints, port }: Surroundings): string {
  const { before = '', after = '', change = {} } = FRAGMENTS.find(({ of }) => blockNamed(of) === block) ?? {}
  let text = block.text
  for (const [from, to] of Object.entries(change)) {
    if (!text.includes(from)) throw new Error(`${block.page}:${block.line} has no ${from}`)
    text = text.replace(from, to)
  }
  return `${oneLine(before)}\n${text}${oneLine(after)}\nexport {}\n`
    .replace(/from '(quorate[^']*)'/g, (_, name) => `from '${join(root, MODULES[name] ?? name)}'`)
    .replace(/\[('http:\/\/127\.0\.0\.1:730\d'(, )?)+\]/g, JSON.stringify(endpoints))
    .replace(/\b7([34])0([1-5])\b/g, (_, kind, n) => String(port + (kind === '4' ? 5 : 0) + Number(n) - 1))
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, ' ')

/** The output that a program announces in its comments. */
export const promisedBy = ({ text }: Block): readonly string[] =>
  [...text.matchAll(/\/\/ prints: (.*)$/gm)].map(([, line = '']) => line)
