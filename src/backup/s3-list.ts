// A page of the list of a bucket, read strictly. An answer that is no such page must not look like an empty bucket: the
// node would make a backup at each check, and would know none of the old ones. So this accepts only what the protocol
// describes: elements with texts, without doctypes, comments or CDATA, which no server sends here.

import type { StoredFile } from './target.ts'

interface ListPage {
  readonly files: readonly StoredFile[]
  /** Where the next page begins; undefined: this is the last one. */
  readonly next: string | undefined
}

interface Element {
  readonly name: string
  readonly text: string
  readonly children: readonly Element[]
}

/** The list that was requested. */
interface Request {
  readonly bucket: string
  readonly prefix: string
}

/** Throws an error whose message says what is wrong with the answer. */
export function parseListPage(xml: string, { bucket, prefix }: Request): ListPage {
  const root = parseElement(xml)
  if (root?.name !== 'ListBucketResult') throw new Error('it is not the list of a bucket')
  const childText = (element: Element, name: string): string | undefined => {
    const found = element.children.filter((child) => child.name === name)
    if (found.length > 1) throw new Error(`it has ${name} more than once`)
    return found[0]?.text
  }
  const name = childText(root, 'Name')
  if (name !== bucket) throw new Error(`it is the list of ${name === undefined ? 'no bucket' : name}`)
  const listed = childText(root, 'Prefix') ?? ''
  if (listed !== prefix) throw new Error(`it is the list of names with ${JSON.stringify(listed)}`)
  const isTruncated = childText(root, 'IsTruncated')
  if (isTruncated !== 'true' && isTruncated !== 'false') throw new Error('it does not say whether it is all')
  const files = root.children.flatMap((child) => {
    if (child.name !== 'Contents') return []
    const [key, size = ''] = [childText(child, 'Key'), childText(child, 'Size')]
    if (key === undefined || !key.startsWith(prefix) || !/^[0-9]{1,15}$/.test(size))
      throw new Error('it has a file without a name, or without a size')
    return [{ name: key, bytes: Number(size) }]
  })
  const count = childText(root, 'KeyCount')
  if (count !== undefined && count !== String(files.length))
    throw new Error(`it has ${files.length} files, and says ${count}`)
  const next = isTruncated === 'true' ? childText(root, 'NextContinuationToken') : undefined
  if (isTruncated === 'true' && !next)
    throw new Error('it lists only some names, and not where the next begin')
  return { files, next }
}

/** A tag, or a text up to the next one. */
const TOKEN = /<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|[^<]+/y
const DECLARATION = /^\uFEFF?(?:<\?xml\s[^?<>]*\?>)?\s*/

/** The root element; undefined: the text is no XML, or not all of it. */
function parseElement(xml: string): Element | undefined {
  const above: { name: string; text: string; children: Element[] }[] = []
  let open = { name: '', text: '', children: [] as Element[] }
  TOKEN.lastIndex = DECLARATION.exec(xml)?.[0].length ?? 0
  while (TOKEN.lastIndex < xml.length) {
    const [token, slash, name, , isEmpty] = TOKEN.exec(xml) ?? []
    if (token === undefined) return undefined
    if (name === undefined) {
      const text = unescaped(token)
      if (text === undefined || (above.length === 0 && text.trim() !== '')) return undefined
      open.text += text
    } else if (slash === '') {
      const element = { name, text: '', children: [] }
      open.children.push(element)
      if (isEmpty !== '') continue
      above.push(open)
      open = element
    } else {
      const parent = above.pop()
      if (parent === undefined || open.name !== name) return undefined
      open = parent
    }
  }
  const [root, ...others] = open.children
  return above.length === 0 && others.length === 0 ? root : undefined
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** undefined: an entity is none of XML. */
function unescaped(text: string): string | undefined {
  let isWrong = false
  const plain = text.replaceAll(/&(?:#(x?)([0-9a-fA-F]{1,6});|([a-z]{2,4});)?/g, (_, hex, digits, name) => {
    const code = digits === undefined ? Number.NaN : Number.parseInt(digits, hex === '' ? 10 : 16)
    const char = code <= 0x10ffff ? String.fromCodePoint(code) : ENTITIES[String(name)]
    isWrong ||= char === undefined
    return char ?? ''
  })
  return isWrong ? undefined : plain
}

/** The code and the message of a refusal, as far as the answer has them. */
export function parseRefusal(xml: string): string {
  const root = parseElement(xml)
  const texts = ['Code', 'Message'].flatMap((name) => {
    const text = root?.children.find((child) => child.name === name)?.text ?? ''
    return text === '' ? [] : [text]
  })
  return texts.length === 0 ? 'no reason' : texts.join(': ')
}
