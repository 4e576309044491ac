// The way of a view from the worker to the page: only what differs from the view before it is sent. The page puts the
// same objects for equal parts, so a component whose part has not changed has nothing to draw.

/** The difference between two values of plain data; undefined: there is none. */
export type ViewChange = Replaced | ChangedFields | ChangedElements | undefined
interface Replaced {
  readonly value: unknown
}
interface ChangedFields {
  /** Both have the same fields. */
  readonly fields: Readonly<Record<string, NonNullable<ViewChange>>>
}
interface ChangedElements {
  /** The elements of the array after, in their order. */
  readonly elements: readonly Elements[]
}
type Elements =
  /** So many elements of the array before. */
  | { readonly from: number; count: number }
  /** The element of the array before, with this change. */
  | { readonly from: number; readonly change: NonNullable<ViewChange> }
  | { readonly added: unknown[] }

type Fields = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null

/** Parts that are the same object are not read. */
export function changeBetween(before: unknown, after: unknown): ViewChange {
  if (Object.is(before, after)) return undefined
  if (Array.isArray(before) && Array.isArray(after)) return changedElements(before, after)
  if (!isObject(before) || !isObject(after) || Array.isArray(before) || Array.isArray(after))
    return { value: after }
  const names = Object.keys(after)
  if (names.length !== Object.keys(before).length || names.some((name) => !(name in before)))
    return { value: after }
  const changed = names.flatMap((name) => {
    const change = changeBetween(before[name], after[name])
    return change === undefined ? [] : ([[name, change]] as const)
  })
  if (changed.length === 0) return undefined
  // Another message, not a changed one.
  const isOther = 2 * changed.length > names.length && changed.every(([, change]) => 'value' in change)
  return isOther ? { value: after } : { fields: Object.fromEntries(changed) }
}

function changedElements(before: readonly unknown[], after: readonly unknown[]): ViewChange {
  const places = new Map<unknown, number>()
  for (const [at, element] of before.entries()) if (isObject(element)) places.set(element, at)
  const elements: Elements[] = []
  for (const [at, element] of after.entries()) {
    const place = places.get(element)
    const change =
      place !== undefined
        ? undefined
        : at < before.length
          ? changeBetween(before[at], element)
          : { value: element }
    if (change === undefined) keep(elements, place ?? at)
    else if ('value' in change) add(elements, element)
    else elements.push({ from: at, change })
  }
  const [first] = elements
  const isSame =
    before.length === after.length &&
    (after.length === 0 ||
      (first !== undefined && 'count' in first && first.from === 0 && first.count === after.length))
  return isSame ? undefined : { elements }
}

function keep(elements: Elements[], place: number): void {
  const last = elements.at(-1)
  if (last !== undefined && 'count' in last && last.from + last.count === place) last.count++
  else elements.push({ from: place, count: 1 })
}

function add(elements: Elements[], element: unknown): void {
  const last = elements.at(-1)
  if (last !== undefined && 'added' in last) last.added.push(element)
  else elements.push({ added: [element] })
}

/** The value after the change. What has not changed is the same object as before. */
export function withChange(before: unknown, change: ViewChange): unknown {
  if (change === undefined) return before
  if ('value' in change) return change.value
  if ('fields' in change) {
    const fields = isObject(before) ? before : {}
    const changed = Object.entries(change.fields).map(([name, each]) => [
      name,
      withChange(fields[name], each),
    ])
    return { ...fields, ...Object.fromEntries(changed) }
  }
  const all: readonly unknown[] = Array.isArray(before) ? before : []
  return change.elements.flatMap((part) => {
    if ('added' in part) return part.added
    if ('change' in part) return [withChange(all[part.from], part.change)]
    return all.slice(part.from, part.from + part.count)
  })
}
