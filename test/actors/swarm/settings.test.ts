import { describe, expect, test } from 'vitest'
import { toBindError } from '../../../actors/swarm/network-errors.ts'
import { parseNodeAddress, toBindHost } from '../../../actors/swarm/settings.ts'

describe('toBindHost', () => {
  const loopback = { host: '127.0.0.1', port: 1 }
  const elsewhere = { host: '192.0.2.1', port: 1 }

  test.each([
    [{}, '0.0.0.0'],
    [{ bootstrap: [] }, '0.0.0.0'],
    [{ bootstrap: [loopback] }, '127.0.0.1'],
    [{ bootstrap: [{ host: 'localhost', port: 1 }] }, '127.0.0.1'],
    [{ bootstrap: [loopback, elsewhere] }, '0.0.0.0'],
    [{ bootstrap: [loopback], host: '0.0.0.0' }, '0.0.0.0'],
    [{ host: '192.0.2.7' }, '192.0.2.7'],
    [{ host: 'localhost' }, '127.0.0.1'],
  ])('%j binds to %s', (settings, expected) => {
    expect(toBindHost(settings)).toBe(expected)
  })

  test.each(['example.org', '::1', '', '300.1.1.1'])('%j is not an address to bind to', (host) => {
    expect(() => toBindHost({ host })).toThrow(expect.objectContaining({ code: 'QM_NETWORK_UNAVAILABLE' }))
  })
})

describe('parseNodeAddress', () => {
  test.each([
    ['127.0.0.1:49737', { host: '127.0.0.1', port: 49_737 }],
    ['mesh.example.org:1', { host: 'mesh.example.org', port: 1 }],
    ['a:65535', { host: 'a', port: 65_535 }],
  ])('%s', (text, expected) => {
    expect(parseNodeAddress(text)).toEqual(expected)
  })

  test.each(['', 'a', 'a:', ':1', 'a:0', 'a:65536', 'a:1x', 'a b:1', '::1:5'])('%j is refused', (text) => {
    expect(() => parseNodeAddress(text)).toThrow(expect.objectContaining({ code: 'QM_CONFIG_INVALID' }))
  })
})

describe('toBindError', () => {
  const at = { host: '192.0.2.7', port: 80 }
  test.each([
    ['EADDRINUSE', 'QM_PORT_TAKEN', '80'],
    ['EADDRNOTAVAIL', 'QM_NETWORK_UNAVAILABLE', '192.0.2.7'],
    ['EACCES', 'QM_NETWORK_UNAVAILABLE', '80'],
    ['EWHATEVER', 'QM_NETWORK_UNAVAILABLE', 'bind'],
  ])('%s becomes %s, names %s and keeps its cause', (errno, code, named) => {
    const cause = Object.assign(new Error('bind failed'), { code: errno })
    expect(toBindError(cause, at)).toMatchObject({ code, message: expect.stringContaining(named), cause })
  })
})
