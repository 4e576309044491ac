// The global `Buffer` of Node, which the shipped code below the lab uses. The entry of the worker imports it first. A
// page has none; a test that loads the worker in Node keeps Node's own, whose class its libraries compare.

import { Buffer } from 'buffer/index.js'

if (!('Buffer' in globalThis)) Object.assign(globalThis, { Buffer })
