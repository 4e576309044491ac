// Chromium and small files for the commands that make pictures.

import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import sharp from 'sharp'

export const PICTURES = join(import.meta.dirname, '../../docs/pictures')
const BYTES_MAX = 80 * 1024
const COLOURS = 64

export const launchChromium = () =>
  chromium.launch({
    executablePath: process.env.QUORATE_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--font-render-hinting=none'],
  })

/** Reduces the colours of a picture, and prints its size. */
export async function savePicture(name, png) {
  mkdirSync(PICTURES, { recursive: true })
  const path = join(PICTURES, name)
  await sharp(png).png({ palette: true, colours: COLOURS, dither: 0, effort: 10 }).toFile(path)
  const { size } = statSync(path)
  console.log(`${name}: ${Math.ceil(size / 1024)} KB`)
  if (size > BYTES_MAX) throw new Error(`${name} has more than ${BYTES_MAX} bytes`)
}
