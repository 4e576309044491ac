// The watchers of a key: those of single keys in a hash map, those of ranges in an interval tree. Keys are strings
// with a character for each byte, so their order is that of the bytes.
//
// The tree is a treap (Seidel and Aragon, 1996): a search tree by (start, end), and a heap by priorities that are
// drawn at random, so that it is balanced whatever the order of insertion. Their seed is a hash that only this process
// can calculate: otherwise a client could choose the order that makes it a list. Each node has the last end below it
// (Cormen et al., Introduction to Algorithms, 14.3). So a search for the ranges with a key skips all that end before
// it. Watchers of one range share a node.

import { hashOfKey } from '../../../storage/key-hash.ts'

/** After all keys: no character of a key is above 255. */
const LAST = '\u{ffff}'
const NO_KEY = new Uint8Array()

export interface Interval {
  readonly start: string
  /** The exclusive end; undefined for a range without one. */
  readonly end: string | undefined
  /** Whether the interval is the key `start` alone. Then `end` is ignored. */
  readonly isKey: boolean
}

interface Node<T> {
  readonly start: string
  readonly end: string
  readonly items: Set<T>
  readonly priority: number
  left: Node<T> | undefined
  right: Node<T> | undefined
  /** The last end in this node and below. */
  last: string
}

export class IntervalIndex<T extends Interval> {
  readonly #keys = new Map<string, Set<T>>()
  #root: Node<T> | undefined
  size = 0
  /** State of the random generator, never 0. */
  #random = hashOfKey(NO_KEY) | 1

  /** The item must not be in the index. */
  add(item: T): void {
    this.size++
    if (!item.isKey) {
      this.#root = this.#added(this.#root, item, item.end ?? LAST)
      return
    }
    const items = this.#keys.get(item.start)
    if (items === undefined) this.#keys.set(item.start, new Set([item]))
    else items.add(item)
  }

  /** The item must be in the index. */
  remove(item: T): void {
    this.size--
    if (!item.isKey) {
      this.#root = withoutNode(this.#root, item, item.end ?? LAST)
      return
    }
    const items = this.#keys.get(item.start)
    items?.delete(item)
    if (items?.size === 0) this.#keys.delete(item.start)
  }

  /** Adds the items whose interval has this key to `found`. */
  collect(key: string, found: T[]): void {
    const items = this.#keys.get(key)
    if (items !== undefined) for (const item of items) found.push(item)
    collect(this.#root, key, found)
  }

  #added(node: Node<T> | undefined, item: T, end: string): Node<T> {
    const { start } = item
    if (node === undefined)
      return {
        start,
        end,
        items: new Set([item]),
        priority: this.#draw(),
        left: undefined,
        right: undefined,
        last: end,
      }
    const order = compare(start, end, node)
    if (order === 0) node.items.add(item)
    else if (order < 0) {
      node.left = this.#added(node.left, item, end)
      if (node.left.priority > node.priority) return rotateRight(node, node.left)
    } else {
      node.right = this.#added(node.right, item, end)
      if (node.right.priority > node.priority) return rotateLeft(node, node.right)
    }
    return updateLast(node)
  }

  /** The next number of an xorshift generator (Marsaglia, 2003). */
  #draw(): number {
    this.#random ^= this.#random << 13
    this.#random ^= this.#random >>> 17
    this.#random ^= this.#random << 5
    return this.#random
  }
}

const compare = <T>(start: string, end: string, node: Node<T>): number =>
  start === node.start ? (end === node.end ? 0 : end < node.end ? -1 : 1) : start < node.start ? -1 : 1

function collect<T>(node: Node<T> | undefined, key: string, found: T[]): void {
  if (node === undefined || node.last <= key) return
  collect(node.left, key, found)
  if (node.start > key) return
  if (key < node.end) for (const item of node.items) found.push(item)
  collect(node.right, key, found)
}

function withoutNode<T extends Interval>(
  node: Node<T> | undefined,
  item: T,
  end: string,
): Node<T> | undefined {
  if (node === undefined) return undefined
  const order = compare(item.start, end, node)
  if (order < 0) node.left = withoutNode(node.left, item, end)
  else if (order > 0) node.right = withoutNode(node.right, item, end)
  else {
    node.items.delete(item)
    if (node.items.size === 0) return joinTrees(node.left, node.right)
  }
  return updateLast(node)
}

/** One tree of two, all of whose nodes are in order. */
function joinTrees<T>(left: Node<T> | undefined, right: Node<T> | undefined): Node<T> | undefined {
  if (left === undefined || right === undefined) return left ?? right
  if (left.priority > right.priority) {
    left.right = joinTrees(left.right, right)
    return updateLast(left)
  }
  right.left = joinTrees(left, right.left)
  return updateLast(right)
}

function rotateRight<T>(node: Node<T>, left: Node<T>): Node<T> {
  node.left = left.right
  left.right = updateLast(node)
  return updateLast(left)
}

function rotateLeft<T>(node: Node<T>, right: Node<T>): Node<T> {
  node.right = right.left
  right.left = updateLast(node)
  return updateLast(right)
}

function updateLast<T>(node: Node<T>): Node<T> {
  const { left, right } = node
  node.last = node.end
  if (left !== undefined && left.last > node.last) node.last = left.last
  if (right !== undefined && right.last > node.last) node.last = right.last
  return node
}
