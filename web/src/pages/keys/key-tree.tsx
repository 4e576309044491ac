// Keys as a tree by `/`. A folder is read when it is opened, a page at a time.

import { signal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { compareKeys } from '../../../../src/operations/forms/places.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { Button } from '../../design/button.tsx'
import { BytesText } from '../../design/bytes-text.tsx'
import { Icon } from '../../design/icon.tsx'
import { Notice } from '../../design/notice.tsx'
import { type Child, type Children, identify, readChildren } from './children.ts'
import { type KeysPlace, keysHref } from './key-route.ts'

/** Folders that are open, by their name. They stay open while the page is. */
const open = signal<ReadonlySet<string>>(new Set())

/** Levels that open by themselves on the way to the chosen key: each open folder is read, and is nested in the page. */
const OPEN_LEVELS = 32

function openFolder(name: string): void {
  if (!open.peek().has(name)) open.value = new Set([...open.peek(), name])
}

function toggle(name: string): void {
  const next = new Set(open.peek())
  if (!next.delete(name)) next.add(name)
  open.value = next
}

interface TreeProps {
  readonly root: Uint8Array
  readonly place: KeysPlace
  /** Shown where there is no key at all. */
  readonly empty: preact.ComponentChild
}

export function KeyTree({ root, place, empty }: TreeProps) {
  return (
    <div class="tree" role="tree" tabIndex={-1} aria-label="Keys" onKeyDown={moveFocus}>
      <Folder prefix={root} level={1} place={place} empty={empty} />
    </div>
  )
}

interface FolderProps {
  readonly prefix: Uint8Array
  readonly level: number
  readonly place: KeysPlace
  readonly empty?: preact.ComponentChild
}

const NO_CHILDREN: Children = { children: [], next: undefined }

/** The children of a folder, as far as they have been asked for. */
function Folder({ prefix, level, place, empty }: FolderProps) {
  const [pages, setPages] = useState(1)
  const revision = useRevision()
  /** The pages as they were read: one more is read behind them, as long as the store has not changed. */
  const known = useRef<KnownPages>(undefined)
  const { data, error, isLoading } = useRequest<Children>(
    async (signal, show) => {
      const { current } = known
      const isMore = current !== undefined && current.revision === revision && current.pages < pages
      const begun = isMore ? current : { pages: 0, children: [], next: prefix }
      const found = await readPages(
        prefix,
        begun,
        pages,
        signal,
        current === undefined || isMore ? show : undefined,
      )
      known.current = { ...found, pages, revision }
      return found
    },
    [identify(prefix), pages],
    revision,
  )
  const { children, next } = data ?? NO_CHILDREN
  const problem = error !== undefined && (
    <div role="none">
      <Notice kind="problem">{error}</Notice>
    </div>
  )
  if (problem && children.length === 0) return problem
  if (!isLoading && children.length === 0)
    return <div role="none">{empty ?? <span class="dim">empty now</span>}</div>
  return (
    <>
      {children.map((child) =>
        child.kind === 'key' ? (
          <KeyItem key={identify(child.key)} child={child} level={level} place={place} />
        ) : (
          <FolderItem key={identify(child.prefix)} child={child} level={level} place={place} />
        ),
      )}
      {problem}
      {next !== undefined && (
        <div role="none" class="tree-more" style={{ '--level': level }}>
          <Button kind="quiet" onClick={() => setPages(pages + 1)}>
            Show more
          </Button>
        </div>
      )}
    </>
  )
}

interface ItemProps<Kind extends Child['kind']> {
  readonly child: Extract<Child, { kind: Kind }>
  readonly level: number
  readonly place: KeysPlace
}

function KeyItem({ child, level, place }: ItemProps<'key'>) {
  const isChosen = place.key !== undefined && identify(place.key) === identify(child.key)
  return (
    <div role="none">
      <a
        class="tree-item"
        role="treeitem"
        aria-level={level}
        aria-selected={isChosen}
        style={{ '--level': level }}
        href={keysHref({ ...place, key: child.key, revision: undefined })}
      >
        <span class="tree-icon" />
        <BytesText bytes={child.name.length === 0 ? child.key : child.name} max={200} />
      </a>
    </div>
  )
}

function FolderItem({ child, level, place }: ItemProps<'folder'>) {
  const name = identify(child.prefix)
  const chosen = place.key && identify(place.key)
  useEffect(() => {
    if (level <= OPEN_LEVELS && place.key !== undefined && beginsWith(place.key, child.prefix))
      openFolder(name)
  }, [chosen, name, level])
  const isOpen = open.value.has(name)
  return (
    <div role="none">
      <button
        type="button"
        class="tree-item"
        role="treeitem"
        aria-level={level}
        aria-expanded={isOpen}
        aria-selected={false}
        style={{ '--level': level }}
        onClick={() => toggle(name)}
      >
        <span class="tree-icon">
          <Icon name="chevron" />
        </span>
        <BytesText bytes={child.name} max={200} />
      </button>
      {isOpen && (
        <fieldset class="tree-group">
          <Folder prefix={child.prefix} level={level + 1} place={place} />
        </fieldset>
      )}
    </div>
  )
}

const beginsWith = (key: Uint8Array, prefix: Uint8Array): boolean =>
  compareKeys(key.subarray(0, prefix.length), prefix) === 0

interface KnownPages extends Children {
  readonly pages: number
  readonly revision: number
}

/** Reads the pages of a folder behind those of `begun`, up to so many. */
async function readPages(
  prefix: Uint8Array,
  begun: Children & { readonly pages: number },
  pages: number,
  signal: AbortSignal,
  show: ((found: Children) => void) | undefined,
): Promise<Children> {
  let { children, next } = begun
  for (let page = begun.pages; page < pages && next !== undefined; page++) {
    const before = children
    const from = next
    const join = (found: Children): Children => ({ ...found, children: [...before, ...found.children] })
    const found = join(
      await readChildren(prefix, from, signal, {
        // There is no next page yet.
        show: (part) => show?.(join({ ...part, next: undefined })),
      }),
    )
    children = found.children
    next = found.next
  }
  return { children, next }
}

/** Arrows move between the visible items; right opens a folder, left closes it (WAI-ARIA, pattern of trees). */
function moveFocus(event: KeyboardEvent): void {
  const tree = event.currentTarget
  const item = document.activeElement
  if (!(tree instanceof HTMLElement) || !(item instanceof HTMLElement) || item.role !== 'treeitem') return
  const items = [...tree.querySelectorAll<HTMLElement>('[role=treeitem]')]
  const at = items.indexOf(item)
  const isOpen = item.ariaExpanded
  const to = (next: HTMLElement | undefined): void => {
    event.preventDefault()
    next?.focus()
  }
  if (event.key === 'ArrowDown') to(items[at + 1])
  else if (event.key === 'ArrowUp') to(items[at - 1])
  else if (event.key === 'Home') to(items[0])
  else if (event.key === 'End') to(items.at(-1))
  else if (event.key === 'ArrowRight' && isOpen === 'false') item.click()
  else if (event.key === 'ArrowRight' && isOpen === 'true') to(items[at + 1])
  else if (event.key === 'ArrowLeft' && isOpen === 'true') item.click()
  else if (event.key === 'ArrowLeft')
    to(items.slice(0, at).findLast((other) => Number(other.ariaLevel) < Number(item.ariaLevel)))
}
