// Tools for drawing: colours from the style sheet, stripes, text that fits.

/** @import { Stretch } from './layout.js' */

/**
 * A canvas for one drawing, the visible part of time, and its place on the canvas.
 * @typedef {object} Frame
 * @property {CanvasRenderingContext2D} ctx
 * @property {Ink} ink
 * @property {Stretch} view
 * @property {number} left  where time begins; names are left of it
 * @property {number} right
 * @property {number} height
 */

/** @param {{ readonly view: Stretch, readonly left: number, readonly right: number }} frame @param {number} ms */
export const xAt = ({ view, left, right }, ms) =>
  left + ((ms - view.fromMs) / (view.toMs - view.fromMs)) * (right - left)

/** @param {{ readonly view: Stretch, readonly left: number, readonly right: number }} frame @param {number} x */
export const msAt = ({ view, left, right }, x) =>
  view.fromMs + ((x - left) / (right - left)) * (view.toMs - view.fromMs)

/** Tokens of the design. @typedef {'ink' | 'on-ink' | 'soft' | 'line' | 'paper'} PaperColour */
/** @typedef {'leader' | 'follower' | 'learner' | 'candidate' | 'down'} NodeColour */
/** @typedef {PaperColour | NodeColour | 'written' | 'not-written' | 'unknown' | 'fault'} Colour */

/** How much of a colour is in a tint of it. */
const TINT = { strong: 36, weak: 16 }

export class Ink {
  /** By their style. @type {Map<string, string>} */
  #colours = new Map()
  #patterns = new Map()
  font
  smallFont

  constructor() {
    const { fontFamily } = getComputedStyle(document.documentElement)
    this.font = `12px ${fontFamily}`
    this.smallFont = `11px ${fontFamily}`
  }

  /** @param {Colour} name */
  of(name) {
    return this.#resolve(`var(--${name})`)
  }

  /** A paler colour, that hides what is below it. @param {Colour} name @param {keyof typeof TINT} strength */
  tint(name, strength) {
    return this.#resolve(`color-mix(in oklab, var(--${name}) ${TINT[strength]}%, var(--paper))`)
  }

  /** A colour of the style sheet as a canvas understands it. @param {string} style */
  #resolve(style) {
    const known = this.#colours.get(style)
    if (known !== undefined) return known
    const root = document.documentElement
    root.style.color = style
    const { color } = getComputedStyle(root)
    root.style.color = ''
    this.#colours.set(style, color)
    return color
  }

  /**
   * Stripes or dots on the background. @param {Colour} name @param {'stripes' | 'dots'} kind @returns {CanvasPattern |
   * string}
   */
  pattern(name, kind) {
    const known = this.#patterns.get(name + kind)
    if (known !== undefined) return known
    const tile = document.createElement('canvas')
    tile.width = tile.height = 6
    const ctx = tile.getContext('2d')
    if (ctx === null) return this.of(name)
    ctx.strokeStyle = ctx.fillStyle = this.of(name)
    ctx.lineWidth = 1.4
    if (kind === 'dots') ctx.fillRect(1, 1, 2, 2)
    else {
      ctx.beginPath()
      for (const shift of [-6, 0, 6]) {
        ctx.moveTo(shift - 1, 7)
        ctx.lineTo(shift + 7, -1)
      }
      ctx.stroke()
    }
    const pattern = ctx.createPattern(tile, 'repeat') ?? this.of(name)
    this.#patterns.set(name + kind, pattern)
    return pattern
  }
}

/**
 * Draws text at `x`, shortened to `width`; draws nothing if fewer than `LETTERS_MIN` letters fit. `halo`: a colour
 * around the letters that separates them from stripes.
 * @param {CanvasRenderingContext2D} ctx @param {string} text @param {number} x @param {number} y
 * @param {number} width @param {string} [halo]
 */
export function fitText(ctx, text, x, y, width, halo) {
  const shown = fitted(text, width, (part) => ctx.measureText(part).width)
  if (shown === '') return
  if (halo !== undefined) {
    ctx.strokeStyle = halo
    ctx.lineWidth = 4
    ctx.lineJoin = 'round'
    ctx.strokeText(shown, x, y)
  }
  ctx.fillText(shown, x, y)
}

const LETTERS_MIN = 3

/** @param {string} text @param {number} width @param {(part: string) => number} widthOf */
export function fitted(text, width, widthOf) {
  if (width < 10) return ''
  if (widthOf(text) <= width) return text
  let [low, high] = [0, text.length]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (widthOf(`${text.slice(0, middle)}…`) <= width) low = middle
    else high = middle - 1
  }
  return low < LETTERS_MIN ? '' : `${text.slice(0, low)}…`
}
