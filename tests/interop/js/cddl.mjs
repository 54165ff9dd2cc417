// A reader of CDDL (RFC 8610), as much of it as docs/protocol.cddl uses: rules, choices, maps,
// arrays, occurrences, ranges, literals, and the controls .size, .regexp, .cbor and .and.

const TOKEN = /\s+|;[^\n]*|("(?:[^"\\]|\\.)*")|(\/=|=>|\.\.|\.[a-z]+)|(\d*\*\d*|\?)(?=[\s(a-zA-Z\[{"])|(-?\d+)|([A-Za-z_][\w-]*)|([[\](){}:,=/])/y;

function tokenize(text) {
  const tokens = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found) throw new Error(`CDDL: cannot read ${text.slice(at, at + 40)}`);
    const [, string, operator, occurrence, number, name, mark] = found;
    if (string !== undefined) tokens.push({ kind: "string", value: JSON.parse(string) });
    else if (operator) tokens.push({ kind: operator });
    else if (occurrence) tokens.push({ kind: "occurrence", value: occurrence });
    else if (number) tokens.push({ kind: "number", value: BigInt(number) });
    else if (name) tokens.push({ kind: "name", value: name });
    else if (mark) tokens.push({ kind: mark });
  }
  return tokens;
}

class Parser {
  constructor(text) {
    this.tokens = tokenize(text);
    this.at = 0;
  }

  peek(ahead = 0) {
    return this.tokens[this.at + ahead]?.kind;
  }

  take(kind) {
    const token = this.tokens[this.at++];
    if (token?.kind !== kind) throw new Error(`CDDL: ${kind} expected, ${token?.kind} found`);
    return token.value;
  }

  parseRules() {
    const rules = new Map();
    while (this.at < this.tokens.length) {
      const name = this.take("name");
      const adds = this.peek() === "/=";
      this.take(adds ? "/=" : "=");
      const type = this.parseType();
      rules.set(name, adds ? { choices: [rules.get(name), type] } : type);
    }
    return rules;
  }

  parseType() {
    const choices = [this.parseControlled()];
    while (this.peek() === "/") {
      this.take("/");
      choices.push(this.parseControlled());
    }
    return choices.length === 1 ? choices[0] : { choices };
  }

  parseControlled() {
    let type = this.parsePlain();
    while (/^\.[a-z]+$|^\.\.$/.test(this.peek() ?? "")) {
      const control = this.tokens[this.at++].kind;
      type = { control, left: type, right: this.parsePlain() };
    }
    return type;
  }

  parsePlain() {
    switch (this.peek()) {
      case "number":
        return { literal: this.take("number") };
      case "string":
        return { literal: this.take("string") };
      case "name":
        return { name: this.take("name") };
      case "(": {
        this.take("(");
        const type = this.parseType();
        this.take(")");
        return type;
      }
      case "{":
        return { map: this.parseGroup("{", "}") };
      default:
        return { array: this.parseGroup("[", "]") };
    }
  }

  parseGroup(open, close) {
    this.take(open);
    const entries = [];
    while (this.peek() !== close) {
      const occurs = this.peek() === "occurrence" ? this.take("occurrence") : "1*1";
      const entry = { ...readOccurrence(occurs), key: undefined };
      if (this.peek(1) === ":" || this.peek(1) === "=>") {
        entry.isWild = this.peek(1) === "=>";
        const token = this.tokens[this.at++];
        entry.key = token.value;
        this.at++;
      }
      entry.type = this.parseType();
      entries.push(entry);
      if (this.peek() === ",") this.take(",");
    }
    this.take(close);
    return entries;
  }
}

function readOccurrence(text) {
  if (text === "?") return { least: 0, most: 1 };
  const [least, most] = text.split("*");
  return { least: Number(least || 0), most: most === "" ? Infinity : Number(most) };
}

const isInt = (value) => typeof value === "bigint" || Number.isInteger(value);
const PRELUDE = {
  any: () => true,
  bstr: (value) => value instanceof Uint8Array,
  tstr: (value) => typeof value === "string",
  uint: (value) => isInt(value) && value >= 0,
  bool: (value) => typeof value === "boolean",
  null: (value) => value === null,
};

export class Schema {
  // `decode` turns the bytes of a `.cbor` into a value, or throws.
  constructor(text, decode) {
    this.rules = new Parser(text).parseRules();
    this.decode = decode;
    this.patterns = new Map();
  }

  holds(rule, value) {
    return this.matches({ name: rule }, value);
  }

  matches(type, value) {
    if (type.choices) return type.choices.some((choice) => this.matches(choice, value));
    if (type.control) return this.matchesControl(type, value);
    if (type.map) return this.matchesMap(type.map, value);
    if (type.array) return this.matchesArray(type.array, value);
    if ("literal" in type) return isInt(value) ? BigInt(value) === type.literal : value === type.literal;
    const rule = this.rules.get(type.name);
    if (rule) return this.matches(rule, value);
    const builtin = PRELUDE[type.name];
    if (!builtin) throw new Error(`CDDL: no rule is called ${type.name}`);
    return builtin(value);
  }

  matchesControl({ control, left, right }, value) {
    if (control === "..") return isInt(value) && value >= left.literal && value <= right.literal;
    if (!this.matches(left, value)) return false;
    switch (control) {
      case ".size": {
        const size = typeof value === "string" ? new TextEncoder().encode(value).length : value.length;
        return this.matches(right, size);
      }
      case ".regexp":
        return this.getPattern(right.literal).test(value);
      case ".and":
        return this.matches(right, value);
      case ".cbor":
        return this.matches(right, this.decode(value));
      default:
        throw new Error(`CDDL: no control is called ${control}`);
    }
  }

  getPattern(text) {
    if (!this.patterns.has(text)) this.patterns.set(text, new RegExp(`^(?:${text})$`, "u"));
    return this.patterns.get(text);
  }

  matchesMap(entries, value) {
    if (!(value instanceof Map)) return false;
    const rest = new Set(value.keys());
    let isOpen = false;
    for (const { least, key, isWild, type } of entries) {
      if (isWild) {
        isOpen = true;
        continue;
      }
      const name = typeof key === "bigint" ? Number(key) : key;
      if (!rest.has(name)) {
        if (least > 0) return false;
        continue;
      }
      if (!this.matches(type, value.get(name))) return false;
      rest.delete(name);
    }
    return isOpen || rest.size === 0;
  }

  matchesArray(entries, value) {
    if (!Array.isArray(value)) return false;
    let at = 0;
    for (const { least, most, type } of entries) {
      let count = 0;
      while (count < most && at < value.length && this.matches(type, value[at])) {
        count++;
        at++;
      }
      if (count < least) return false;
    }
    return at === value.length;
  }
}
