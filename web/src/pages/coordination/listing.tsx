// The names of a recipe, a page at a time, with what matters of each.

import type { ComponentChildren } from 'preact'
import { utf8Text } from '../../../../src/bytes/index.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { Button } from '../../design/button.tsx'
import { BytesText, SafeText, toHex } from '../../design/bytes-text.tsx'
import { CopyButton } from '../../design/copy-button.tsx'
import { NameTitle } from '../../design/name-title.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatCount } from '../../design/numbers.ts'
import { Table, type TableColumn } from '../../design/table.tsx'
import { fromHex, keysHref } from '../keys/key-route.ts'
import { readNames } from './name-pages.ts'
import type { RecipeName } from './names.ts'
import { type CoordinationPlace, placeHref } from './place.ts'

interface ListingProps<Row> {
  readonly place: CoordinationPlace
  /** One after the other. */
  readonly recipes: readonly string[]
  /** Names of each recipe on a page at most. */
  readonly max?: number
  readonly read: (names: readonly RecipeName[], signal: AbortSignal) => Promise<readonly Row[]>
  readonly children: (rows: readonly Row[]) => ComponentChildren
  readonly empty: ComponentChildren
}

export function NameListing<Row>({ place, recipes, max, read, children, empty }: ListingProps<Row>) {
  const { from } = place
  const revision = useRevision()
  const { data, error } = useRequest(
    async (signal) => {
      const page = await readNames(recipes, from === undefined ? undefined : fromHex(from), signal, max)
      return { ...page, rows: await read(page.names, signal) }
    },
    [from],
    revision,
  )
  return (
    <>
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      {data !== undefined && (
        <>
          {data.refusals.map((refusal) => (
            <Notice key={refusal} kind="note">
              A part is not shown: <SafeText text={refusal} />.
            </Notice>
          ))}
          {data.rows.length > 0 && children(data.rows)}
          {data.rows.length === 0 && data.foreign.length === 0 && from === undefined && empty}
          {(from !== undefined || data.next !== undefined) && (
            <nav class="coordination-pager" aria-label="Pages of names">
              {from !== undefined && <a href={placeHref({ ...place, from: undefined })}>First page</a>}
              {data.next !== undefined && (
                <a href={placeHref({ ...place, from: toHex(data.next) })}>Next page</a>
              )}
            </nav>
          )}
          <ForeignKeys keys={data.foreign} />
        </>
      )}
    </>
  )
}

const FOREIGN_MAX = 50

/** Keys that the recipe leaves out. */
export function ForeignKeys({ keys }: { readonly keys: readonly Uint8Array[] }) {
  if (keys.length === 0) return null
  return (
    <section class="coordination-foreign" aria-label="Keys that the recipe has not written">
      <h3>Not written by the recipe</h3>
      <p class="dim">
        An import or another program wrote them, and the recipe leaves them out. Delete them if nothing else
        needs them.
      </p>
      <ul class="mono">
        {keys.slice(0, FOREIGN_MAX).map((key) => (
          <li key={key.join()}>
            <a href={keyLink(key)}>
              <BytesText bytes={key} max={300} />
            </a>
          </li>
        ))}
      </ul>
      {keys.length > FOREIGN_MAX && <p class="dim">And {keys.length - FOREIGN_MAX} more.</p>}
    </section>
  )
}

const SLASH = 0x2f

/** A folder is shown in the tree. */
function keyLink(key: Uint8Array): string {
  const text = key.at(-1) === SLASH ? utf8Text(key) : undefined
  return text === undefined ? keysHref({ key }) : keysHref({ prefix: text })
}

/** A command or code that makes the first one. */
export function Example({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <p class="coordination-example">
      <code>{text}</code>
      <CopyButton text={text} what={what} />
    </p>
  )
}

interface NameTableProps<Row> {
  readonly place: CoordinationPlace
  /** The first recipe of the tab needs no mention. */
  readonly recipes: readonly string[]
  /** The head of the column of names. */
  readonly head: string
  readonly caption: string
  readonly rows: readonly Row[]
  /** All columns but that of the names. */
  readonly columns: readonly TableColumn<Row>[]
}

/** A row for each name, which leads to the place of that name. */
export function NameTable<Row extends { readonly name: RecipeName }>({
  place: { tab },
  recipes,
  head,
  caption,
  rows,
  columns,
}: NameTableProps<Row>) {
  const names: TableColumn<Row> = {
    head,
    isWide: true,
    cell: ({ name: { recipe, name } }) => (
      <a
        class="coordination-name mono"
        href={placeHref({ tab, name, recipe: recipe === recipes[0] ? undefined : recipe })}
      >
        <BytesText bytes={name} max={300} />
        {recipe === 'rwlock' && <span class="coordination-kind">read-write</span>}
      </a>
    ),
  }
  return (
    <Table
      caption={caption}
      columns={[names, ...columns]}
      rows={rows}
      rowKey={({ name }) => name.prefix.join()}
    />
  )
}

interface ShowMoreProps {
  /** How many are not shown; undefined: some. */
  readonly left: number | undefined
  readonly onClick: () => void
}

export function ShowMore({ left, onClick }: ShowMoreProps) {
  if (left !== undefined && left <= 0) return null
  return (
    <div>
      <Button onClick={onClick}>
        {left === undefined ? 'Show more' : `Show more: ${formatCount(left)} left`}
      </Button>
    </div>
  )
}

interface DetailHeadProps {
  readonly place: CoordinationPlace
  readonly title: Uint8Array
  /** The link to the list: `All locks`. */
  readonly all?: string
  /** Another link in its place. */
  readonly back?: { readonly text: ComponentChildren; readonly href: string }
  /** The prefix of its keys. */
  readonly prefix?: Uint8Array
  /** Buttons. */
  readonly children?: ComponentChildren
}

export function DetailHead({ place, title, all, back, prefix, children }: DetailHeadProps) {
  const text = prefix && utf8Text(prefix)
  const { text: word, href } = back ?? { text: all, href: placeHref({ tab: place.tab, name: undefined }) }
  return (
    <header class="coordination-head">
      <a class="coordination-back" href={href}>
        {word}
      </a>
      <div class="coordination-title">
        <NameTitle bytes={title} />
        <div class="coordination-actions">
          {text !== undefined && (
            <a class="button button-plain" href={keysHref({ prefix: text, view: 'list' })}>
              Its keys
            </a>
          )}
          {children}
        </div>
      </div>
    </header>
  )
}
