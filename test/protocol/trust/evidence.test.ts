import { describe, expect, it } from 'vitest'
import {
  ackFormat,
  cardFormat,
  checkName,
  checkProof,
  checkReceipt,
  encodeEntry,
  encodeProof,
  type FraudProof,
  headFormat,
  isCardValid,
  isHeadValid,
  isValidKey,
  offerFormat,
  type Receipt,
  resultFormat,
  toName,
  toOutputCommit,
  toPromptCommit,
  toProofId,
  toReceiptId,
} from '../../../protocol/trust/index.ts'
import {
  client,
  networkId,
  otherNetworkId,
  sampleAck,
  sampleCard,
  sampleHead,
  sampleOffer,
  sampleReceipt,
  sampleResult,
  sampleStatement,
  signerOf,
  worker,
} from './samples.ts'

const other = signerOf(3)

describe('a receipt', () => {
  const offer = sampleOffer()
  const result = sampleResult(offer)
  const ack = sampleAck(offer, result)

  it.each<[string, Receipt]>([
    ['signed to the end', { offer, result, ack }],
    ['without the last word of its client', { offer, result, ack: null }],
    [
      'that its client ended',
      { offer, result, ack: sampleAck(offer, result, { kind: 'closing', received: 64, resultHash: '' }) },
    ],
    [
      'whose client went away in the middle',
      { offer, result, ack: sampleAck(offer, result, { kind: 'tick', received: 64, resultHash: '' }) },
    ],
  ])('%s is sound', (_, receipt) => expect(checkReceipt(receipt, networkId)).toBeUndefined())

  const dear = sampleResult(offer, { price: 5_001 })
  const long = sampleResult(offer, { nOut: 101 })
  const second = sampleOffer({ requestId: '02'.repeat(16) })
  const gratis = sampleOffer({ maxPrice: 0 })
  it.each<[string, Receipt, string]>([
    ['of another network', sampleReceipt(), 'is not signed by its client'],
    [
      'whose offer somebody else signed',
      { ...sampleReceipt(), offer: { ...offer, signature: sampleOffer({}, other).signature } },
      'the offer is not signed',
    ],
    ['made to oneself', withOffer(sampleOffer({ workerId: client.id })), 'to its own maker'],
    ['that is free but not called so', withOffer(gratis), 'gratis and has a price, or neither'],
    ['of another offer', { offer: second, result, ack }, 'the result is of another offer'],
    ['that costs more than was offered', { offer, result: dear, ack: null }, 'costs more than was offered'],
    [
      'that is longer than was asked for',
      { offer, result: long, ack: null },
      'more tokens than were asked for',
    ],
    [
      'whose first token came last',
      { offer, result: sampleResult(offer, { firstTokenMs: 501 }), ack: null },
      'the first token came after the last',
    ],
    [
      'that its worker did not sign',
      { offer, result: sampleResult(offer, {}, other), ack: null },
      'not signed by the worker',
    ],
    [
      'acknowledged by somebody else',
      { offer, result, ack: sampleAck(offer, result, {}, other) },
      'not signed by the client',
    ],
    [
      'acknowledged for another offer',
      { offer, result, ack: sampleAck(second, result) },
      'acknowledges another offer',
    ],
    [
      'acknowledged for another result',
      { offer, result, ack: sampleAck(offer, sampleResult(offer, { totalMs: 501 })) },
      'acknowledges another result',
    ],
    [
      'acknowledged in part as a whole',
      { offer, result, ack: sampleAck(offer, result, { received: 79 }) },
      'acknowledges a part as the whole',
    ],
    [
      'acknowledged beyond its end',
      { offer, result, ack: sampleAck(offer, result, { kind: 'tick', received: 81, resultHash: '' }) },
      'more than was delivered',
    ],
    [
      'whose last word is not about a result',
      { offer, result, ack: sampleAck(offer, result, { resultHash: '' }) },
      'is final without a result',
    ],
  ])('%s is refused, and the reason is told', (what, receipt, reason) => {
    const network = what === 'of another network' ? otherNetworkId : networkId
    expect(checkReceipt(receipt, network)).toContain(reason)
  })

  function withOffer(changed: typeof offer): Receipt {
    return { offer: changed, result: sampleResult(changed, { price: 0 }), ack: null }
  }

  it('has a name that only its network, client and request make', () => {
    const id = toReceiptId(offer, networkId)
    expect(toReceiptId({ ...offer, spendSeq: 1, workerId: other.id }, networkId)).toBe(id)
    expect(toReceiptId(offer, otherNetworkId)).not.toBe(id)
    expect(toReceiptId(second, networkId)).not.toBe(id)
    expect(toReceiptId({ ...offer, clientId: other.id }, networkId)).not.toBe(id)
  })

  it('fits an entry of less than a kilobyte', () => {
    const sizes = {
      offer: offerFormat.encode(offer).length,
      result: resultFormat.encode(result).length,
      ack: ackFormat.encode(ack).length,
      entry: encodeEntry({ type: 'receipt', epoch: 1, receipt: { offer, result, ack } }).length,
    }
    expect(sizes.offer).toBeLessThanOrEqual(330)
    expect(sizes.result).toBeLessThanOrEqual(180)
    expect(sizes.ack).toBeLessThanOrEqual(150)
    expect(sizes.entry).toBeLessThanOrEqual(700)
    expect(cardFormat.encode(sampleCard()).length).toBeLessThanOrEqual(280)
  })
})

describe('the same signature', () => {
  const body = sampleHead()
  const replays: readonly (readonly [string, boolean])[] = [
    ['in its own place', headFormat.isSigned(body, worker.id, networkId)],
    ['of another account', headFormat.isSigned(body, client.id, networkId)],
    ['in another network', headFormat.isSigned(body, worker.id, otherNetworkId)],
    ['under another length', headFormat.isSigned({ ...body, length: 13 }, worker.id, networkId)],
  ]
  it.each(replays)('%s: %s', (where, isAccepted) => expect(isAccepted).toBe(where === 'in its own place'))

  it('fits no other kind of thing', () => {
    const kinds = {
      card: [cardFormat, sampleCard({}, client)],
      offer: [offerFormat, sampleOffer()],
      result: [resultFormat, sampleResult(sampleOffer(), {}, client)],
      ack: [ackFormat, sampleAck(sampleOffer(), sampleResult(sampleOffer()))],
    } as const
    for (const [from, [, signed]] of Object.entries(kinds)) {
      for (const [to, [format, value]] of Object.entries(kinds)) {
        const moved = { ...value, signature: signed.signature }
        expect(format.isSigned(moved as never, client.id, networkId), `${from} as ${to}`).toBe(from === to)
      }
    }
  })
})

describe('a key', () => {
  /** Encodings that some libraries take and others refuse: points of small order, and y not below the prime. */
  const p = 2n ** 255n - 19n
  const toHex = (y: bigint, sign = 0n): string =>
    Buffer.from(
      Buffer.from((y + (sign << 255n)).toString(16).padStart(64, '0'), 'hex').toReversed(),
    ).toString('hex')
  const order8 = 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'
  /** The points of order 8: two values of y, each the other's negative, and either sign of x. */
  const y8 = BigInt(`0x${Buffer.from(Buffer.from(order8, 'hex').toReversed()).toString('hex')}`)
  const eighths = [y8, p - y8].flatMap((y) => [toHex(y), toHex(y, 1n)])
  /** On the curve, not of small order, and yet not of the prime-order group: the base point plus the one above. */
  const mixed = '98519eadf35b995233b51b5cd23e9cc5a28b639b5a4af0ec903cb960d81b7819'
  const odd = [0n, 1n, p - 1n, p, p + 1n].flatMap((y) => [toHex(y), toHex(y, 1n)])

  it.each([...odd, ...eighths, mixed, '', 'zz', 'AB'.repeat(32), client.id.toUpperCase()])(
    '%s is refused',
    (key) => {
      expect(isValidKey(key)).toBe(false)
    },
  )

  it('of an account is fine', () => expect([client.id, worker.id].every(isValidKey)).toBe(true))

  it('that is odd makes a card invalid, whoever signed it', () => {
    expect(isCardValid(sampleCard(), networkId)).toBe(true)
    expect(isCardValid(sampleCard({ logKey: order8 }), networkId)).toBe(false)
    expect(isCardValid(sampleCard({ vrfKey: toHex(1n) }), networkId)).toBe(false)
  })
})

describe('a name', () => {
  it.each(['', 'living room', 'Küche', '客厅', 'a'.repeat(32), '🙂'])('"%s" is fine', (name) => {
    expect(checkName(name)).toBeUndefined()
    expect(toName(name)).toBe(name)
    expect(isCardValid(sampleCard({ name }), networkId)).toBe(true)
  })

  it.each([
    ['with terminal escapes', '\u001b[31mred'],
    ['with a line break', 'a\nb'],
    ['that turns the text around', 'abc\u202edcba'],
    ['with an invisible joint', 'ad\u200bmin'],
    ['of private characters', '\ue000'],
    ['with a space around it', ' a'],
    ['in another normal form', 'e\u0301'],
    ['that is too long', 'a'.repeat(33)],
  ])('%s cannot be signed, and is made harmless', (_, name) => {
    expect(checkName(name)).toBeDefined()
    expect(() => sampleCard({ name })).toThrow(
      expect.objectContaining({ code: 'QM_EVIDENCE_INVALID' }) as Error,
    )
    expect(checkName(toName(name))).toBeUndefined()
  })
})

describe('a commitment', () => {
  const salt = Buffer.alloc(16, 1)
  it('to a prompt is to its roles, its texts and where one ends, and hidden by the salt', () => {
    const commits = [
      toPromptCommit(salt, { prompt: 'ab' }),
      toPromptCommit(salt, { messages: [{ role: 'user', content: 'ab' }] }),
      toPromptCommit(salt, { messages: [{ role: 'system', content: 'ab' }] }),
      toPromptCommit(salt, {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'user', content: 'b' },
        ],
      }),
      toPromptCommit(salt, { messages: [{ role: 'usera', content: 'b' }] }),
      toPromptCommit(Buffer.alloc(16, 2), { prompt: 'ab' }),
      toPromptCommit(salt, { messages: [{ role: 'user', content: 'ab' }], tools: [{ name: 'f' }] }),
      toPromptCommit(salt, {
        messages: [{ role: 'user', content: 'ab' }],
        tools: [{ name: 'f', strict: true }],
      }),
      toPromptCommit(salt, {
        messages: [{ role: 'user', content: 'ab' }],
        tools: [{ name: 'f', parameters: '{}' }],
      }),
      toPromptCommit(salt, {
        messages: [{ role: 'user', content: 'ab' }],
        tools: [{ name: 'f', description: '{}' }],
      }),
      toPromptCommit(salt, { messages: [{ role: 'tool', content: 'ab', toolCallId: 'c' }] }),
      toPromptCommit(salt, {
        messages: [{ role: 'assistant', content: 'ab', toolCalls: [{ id: 'c', name: 'f', arguments: '' }] }],
      }),
    ]
    expect(new Set(commits).size).toBe(commits.length)
  })

  it('to an answer is to its tokens in their order, and hidden by the salt', () => {
    const commits = [
      toOutputCommit(salt, [1, 2]),
      toOutputCommit(salt, [2, 1]),
      toOutputCommit(salt, [1]),
      toOutputCommit(salt, [1, 0]),
      toOutputCommit(Buffer.alloc(16, 2), [1]),
    ]
    expect(new Set(commits).size).toBe(commits.length)
  })

  it('has the bytes that are written down', () => {
    expect(toOutputCommit(salt, [1, 2, 3])).toMatchInlineSnapshot(
      `"36a416dcdff4d65688f749d43f81c9784f4a3916fa6b83b7320ea59efae82a03"`,
    )
  })
})

describe('a proof', () => {
  const proofs: readonly FraudProof[] = [
    { kind: 'fork', a: sampleHead(), b: sampleHead({ treeHash: '0c'.repeat(32), epoch: 1_010 }) },
    { kind: 'two-cards', a: sampleCard(), b: sampleCard({ name: 'another' }) },
    { kind: 'double-spend', a: sampleOffer(), b: sampleOffer({ requestId: '02'.repeat(16) }) },
    { kind: 'two-scores', a: sampleStatement(), b: sampleStatement({ values: [121, 65_536, 3, 4, 0] }) },
  ]

  it.each(proofs.map((proof) => [proof.kind, proof] as const))(
    'of a %s names who is guilty',
    (kind, proof) => {
      const guilty = kind === 'double-spend' || kind === 'two-scores' ? client.id : worker.id
      expect(checkProof(proof, networkId)).toEqual({ guilty, epoch: expect.any(Number) as number })
      expect(checkProof(proof, otherNetworkId)).toBeUndefined()
      expect(checkProof({ ...proof, b: proof.a } as FraudProof, networkId)).toBeUndefined()
      const unsigned = { ...proof.b, signature: proof.a.signature }
      expect(checkProof({ ...proof, b: unsigned } as FraudProof, networkId)).toBeUndefined()
      expect(encodeProof(proof).length).toBeLessThanOrEqual(700)
      expect(toProofId({ ...proof, a: proof.b, b: proof.a } as FraudProof)).toBe(toProofId(proof))
      expect(toProofId({ ...proof, b: proof.a } as FraudProof)).not.toBe(toProofId(proof))
    },
  )

  it.each<[string, FraudProof]>([
    [
      'two lengths of one log',
      { kind: 'fork', a: sampleHead(), b: sampleHead({ length: 13, treeHash: '0c'.repeat(32) }) },
    ],
    ['one tree in two epochs', { kind: 'fork', a: sampleHead(), b: sampleHead({ epoch: 1_001 }) }],
    [
      'heads of two accounts',
      { kind: 'fork', a: sampleHead(), b: sampleHead({ treeHash: '0c'.repeat(32) }, other) },
    ],
    [
      'a card and its successor',
      { kind: 'two-cards', a: sampleCard(), b: sampleCard({ seq: 1, name: 'b' }) },
    ],
    [
      'two offers',
      { kind: 'double-spend', a: sampleOffer(), b: sampleOffer({ spendSeq: 1_700_000_000_001 }) },
    ],
    [
      'scores from two logs',
      {
        kind: 'two-scores',
        a: sampleStatement(),
        b: sampleStatement({ inputDigest: '01'.repeat(32), values: [1, 2, 3, 4, 5] }),
      },
    ],
    [
      'the same score in two epochs',
      { kind: 'two-scores', a: sampleStatement(), b: sampleStatement({ epoch: 1_001 }) },
    ],
  ])('is not made of %s', (_, proof) => expect(checkProof(proof, networkId)).toBeUndefined())
})

describe('a head', () => {
  it('is valid only as its account signed it', () => {
    expect(isHeadValid(sampleHead(), networkId)).toBe(true)
    expect(isHeadValid({ ...sampleHead(), accountId: client.id }, networkId)).toBe(false)
  })
})
