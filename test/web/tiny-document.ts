// A document with as much of the DOM as Preact and the parts of the page need, so that a test shows them without a
// browser, in virtual time. There is no layout and no style.

import { vi } from 'vitest'

type Listener = (event: object) => void

export class TinyNode {
  parentNode: TinyNode | null = null
  readonly childNodes: TinyNode[] = []
  readonly ownerDocument = undefined
  readonly namespaceURI = 'http://www.w3.org/1999/xhtml'
  readonly style: Record<string, unknown> & { setProperty(name: string, value: string): void } = {
    setProperty(name, value) {
      this[name] = value
    },
  }
  readonly attributes = new Map<string, string>()
  readonly #listeners = new Map<string, Set<Listener>>()
  readonly nodeType: number
  readonly localName: string
  /** The content of a text. */
  data: string
  /** The content of a field. */
  value = ''
  checked = false
  disabled = false
  open = false

  constructor(localName: string, data = '') {
    this.localName = localName
    this.nodeType = localName === '#text' ? 3 : 1
    this.data = data
  }

  get firstChild(): TinyNode | null {
    return this.childNodes[0] ?? null
  }

  get nextSibling(): TinyNode | null {
    const { parentNode } = this
    return parentNode?.childNodes[parentNode.childNodes.indexOf(this) + 1] ?? null
  }

  get textContent(): string {
    return this.nodeType === 3 ? this.data : this.childNodes.map((child) => child.textContent).join('')
  }

  insertBefore(child: TinyNode, before: TinyNode | null): TinyNode {
    child.remove()
    child.parentNode = this
    const at = before === null ? -1 : this.childNodes.indexOf(before)
    this.childNodes.splice(at === -1 ? this.childNodes.length : at, 0, child)
    return child
  }

  appendChild(child: TinyNode): TinyNode {
    return this.insertBefore(child, null)
  }

  removeChild(child: TinyNode): TinyNode {
    child.remove()
    return child
  }

  remove(): void {
    const siblings = this.parentNode?.childNodes
    siblings?.splice(siblings.indexOf(this), 1)
    this.parentNode = null
  }

  contains(other: TinyNode | null): boolean {
    for (let node = other; node !== null; node = node.parentNode) if (node === this) return true
    return false
  }

  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value))
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name)
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener))
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener)
  }

  /** Preact keeps `onClick` as `Click` where an element does not say that it knows `onclick`. */
  fire(name: string, more: object = {}): void {
    const event = { target: this, currentTarget: this, preventDefault: () => {}, ...more }
    for (const [type, listeners] of this.#listeners)
      if (type.toLowerCase() === name)
        for (const listener of [...listeners]) listener.call(this, { ...event, type })
  }

  showModal(): void {
    this.open = true
  }

  close(): void {
    this.fire('close')
  }

  /** Finds nothing: the page looks for elements to lay them out. */
  querySelector(): null {
    return null
  }

  /** Knows the name of an element, its classes and its attributes, and the absence of an attribute. */
  matches(selectors: string): boolean {
    return selectors.split(', ').some((selector) => {
      const [, name = '', rest = ''] =
        /^([a-z]*)((?:\.[\w-]+|(?::not\()?\[[^\]]+\]\)?)*)$/.exec(selector) ?? []
      if (name + rest !== selector) throw new Error(`unknown selector: ${selector}`)
      const classes = this.attributes.get('class')?.split(' ') ?? []
      return (
        (name === '' || name === this.localName) &&
        [...rest.matchAll(/\.([\w-]+)/g)].every(([, one = '']) => classes.includes(one)) &&
        [...rest.matchAll(/(:not\()?\[([\w-]+)(?:="([^"]*)")?\]/g)].every(
          ([, not, attribute = '', value]) => {
            const own = this.attributes.get(attribute)
            return (not === undefined) === (value === undefined ? own !== undefined : own === value)
          },
        )
      )
    })
  }

  closest(selectors: string): TinyNode | null {
    return this.matches(selectors) ? this : (this.parentNode?.closest(selectors) ?? null)
  }

  getBoundingClientRect(): { readonly top: number; readonly bottom: number; readonly left: number } {
    return { top: 0, bottom: 0, left: 0 }
  }

  /** A unit of a drawing is a pixel. */
  getScreenCTM(): null {
    return null
  }

  setPointerCapture(): void {}

  click(): void {
    this.fire('click')
  }

  blur(): void {}

  focus(): void {}

  scrollIntoView(): void {}

  /** All elements below this one, in their order. */
  *descend(): Generator<TinyNode> {
    for (const child of this.childNodes) {
      yield child
      yield* child.descend()
    }
  }
}

const stubs = {
  createElement: (name: string) => new TinyNode(name),
  createElementNS: (_: string, name: string) => new TinyNode(name),
  createTextNode: (data: string) => new TinyNode('#text', data),
  visibilityState: 'visible',
  documentElement: { dataset: {} },
  querySelector: () => null,
  getElementById: () => null,
  addEventListener: () => {},
  removeEventListener: () => {},
}

export interface Screen {
  /** All text of it. */
  text(): string
  /** The element with this name for a user: its label, or its text. */
  find(localName: string, name: string): TinyNode | undefined
  /** The elements of this kind, in their order. */
  all(localName: string): readonly TinyNode[]
  click(name: string): Promise<void>
  /** Types into the only field of this kind. */
  type(localName: 'input' | 'textarea', text: string): Promise<void>
  /** Types into the field with this label. */
  fill(label: string, text: string): Promise<void>
  submit(): Promise<void>
  /** Takes the component away. */
  leave(): Promise<void>
}

interface Renderer {
  render(node: unknown, parent: object): void
  h(component: unknown, props: object): unknown
}

/** Time in which Preact draws and runs effects. */
export const DRAWN_MS = 200

/** Shows a component. The clock of the test is virtual. */
export async function show(component: unknown, props: object): Promise<Screen> {
  vi.stubGlobal('document', stubs)
  // The types of Preact need those of a browser.
  const module: string = 'preact'
  const { render, h } = (await import(module)) as Renderer
  const root = new TinyNode('main')
  const draw = async (): Promise<void> => void (await vi.advanceTimersByTimeAsync(DRAWN_MS))
  render(h(component, props), root)
  await draw()
  const nameOf = (node: TinyNode): string => node.attributes.get('aria-label') ?? node.textContent.trim()
  const find = (localName: string, name: string): TinyNode | undefined =>
    [...root.descend()].findLast((node) => node.localName === localName && nameOf(node) === name)
  return {
    text: () => root.textContent,
    find,
    all: (localName) => [...root.descend()].filter((node) => node.localName === localName),
    async click(name) {
      const button = find('button', name) ?? find('a', name)
      if (button === undefined) throw new Error(`there is no ${name} in: ${root.textContent}`)
      if (button.disabled) throw new Error(`${name} is disabled`)
      button.fire('click')
      await draw()
    },
    async type(localName, text) {
      const field = [...root.descend()].findLast((node) => node.localName === localName)
      if (field === undefined) throw new Error(`there is no ${localName}`)
      field.value = text
      field.fire('input')
      await draw()
    },
    async fill(label, text) {
      const id = find('label', label)?.attributes.get('for')
      const field = [...root.descend()].findLast(({ attributes }) => attributes.get('id') === id)
      if (id === undefined || field === undefined) throw new Error(`there is no field ${label}`)
      field.value = text
      field.fire(field.localName === 'select' ? 'change' : 'input')
      await draw()
    },
    async submit() {
      const form = [...root.descend()].findLast((node) => node.localName === 'form')
      if (form === undefined) throw new Error('there is no form')
      form.fire('submit')
      await draw()
    },
    async leave() {
      render(null, root)
      await draw()
    },
  }
}
