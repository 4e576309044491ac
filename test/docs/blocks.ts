// The fenced code blocks of the pages that users read: README.md, docs/guides, docs/reference, docs/coming-from.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

export const PAGES: readonly string[] = [
  'README.md',
  ...globSync('docs/{guides,reference,coming-from}/*.md', { cwd: root }).sort(),
]

export interface Block {
  readonly page: string
  /** The line of its first code in the page, from 1. */
  readonly line: number
  /** The text behind the fence: the language, and perhaps more. */
  readonly info: string
  readonly text: string
}

export function blocksOf(page: string): readonly Block[] {
  const blocks: Block[] = []
  let open: { readonly fence: string; readonly line: number; readonly info: string } | undefined
  const lines = readFileSync(join(root, page), 'utf8').split('\n')
  for (const [at, content] of lines.entries()) {
    const [, fence = '', info = ''] = /^ *(`{3,}|~{3,})(.*)$/.exec(content) ?? []
    if (open === undefined) {
      if (fence !== '') open = { fence, line: at + 2, info: info.trim() }
    } else if (fence.startsWith(open.fence) && info.trim() === '') {
      const text = lines.slice(open.line - 1, at).map((line) => `${line}\n`)
      blocks.push({ page, line: open.line, info: open.info, text: text.join('') })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line - 1}: this block does not end`)
  return blocks
}

export const BLOCKS: readonly Block[] = PAGES.flatMap(blocksOf)

/** Without what only makes modules known. */
const firstLine = ({ text }: Block): string => {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.find((line) => !line.startsWith('import ')) ?? lines[0] ?? ''
}

/** The page and the first line of each block; of those with the same first line in a page also their number. */
const NAMES: ReadonlyMap<Block, string> = new Map(
  [...Map.groupBy(BLOCKS, (block) => `${block.page}: ${firstLine(block)}`)].flatMap(([name, alike]) =>
    alike.map((block, at) => [block, alike.length > 1 ? `${name} (${at + 1})` : name] as const),
  ),
)

export const nameOf = (block: Block): string => NAMES.get(block) ?? block.page

/** The block whose name begins so. */
export function blockNamed(beginning: string): Block {
  const [found, ...others] = [...NAMES].filter(([, name]) => name.startsWith(beginning))
  if (found === undefined || others.length > 0)
    throw new Error(`${found ? others.length + 1 : 'no'} blocks begin so: ${beginning}`)
  return found[0]
}
