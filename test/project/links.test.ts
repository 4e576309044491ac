// Links between pages, the READMEs of folders included, lead to files that exist, and to headings that these have.

import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const PAGES = globSync('**/*.md', { cwd: root }).filter(
  (path) => !/(^|\/)(node_modules|dist|coverage|reports|\.[^/]+)(\/|$)/.test(path),
)
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** Text between fences is code. */
const withoutCode = (text: string): string => text.replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, '')

/** The anchors that a renderer of GitHub makes of the headings. */
function anchorsOf(path: string): ReadonlySet<string> {
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  for (const [, heading = ''] of withoutCode(read(path)).matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-')
    const before = seen.get(slug) ?? 0
    seen.set(slug, before + 1)
    anchors.add(before === 0 ? slug : `${slug}-${before}`)
  }
  return anchors
}

interface Link {
  readonly page: string
  readonly target: string
}

const linksOf = (page: string): readonly Link[] =>
  [...withoutCode(read(page)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => ({ page, target }))
    .filter(({ target }) => !/^[a-z]+:/i.test(target))

function isBroken({ page, target }: Link): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(root, file))) return true
  return anchor !== undefined && /\.md$/.test(file) && !anchorsOf(file).has(anchor)
}

test('links of pages lead to files and headings that exist', () => {
  const links = PAGES.flatMap(linksOf)
  expect(links.length).toBeGreaterThan(300)
  expect(links.filter(isBroken).map(({ page, target }) => `${page}: ${target}`)).toEqual([])
})
