-- cjson, as Redis gives it to scripts (lua-cjson 2.1): the same texts, the same limits.
local tools = ...
local tonumber = tools.tonumber
local byte, sub, find, match, gsub, format = string.byte, string.sub, string.find, string.match,
  string.gsub, string.format
local concat, floor, huge = table.concat, math.floor, math.huge
local fail, about_argument, charge = tools.fail, tools.about_argument, tools.charge

local null = newproxy(false)
local DEFAULTS = { convert = false, ratio = 2, safe = 10, encode_depth = 1000, decode_depth = 1000,
                   precision = 14, keep_buffer = true, encode_invalid = false, decode_invalid = true }
local config = DEFAULTS

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\f"] = "\\f",
                  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\127"] = "\\u007f" }
for code = 0, 31 do
  local c = string.char(code)
  ESCAPES[c] = ESCAPES[c] or format("\\u%04x", code)
end

local function quoted(text)
  charge(#text / 8)
  if find(text, '[%c"\\/\127%z]') then
    text = gsub(text, '[%c"\\/\127%z]', ESCAPES)
  end
  return '"' .. text .. '"'
end

local function number_text(value)
  if value ~= value or value == huge or value == -huge then
    if config.encode_invalid == "null" then
      return "null"
    elseif not config.encode_invalid then
      fail("Cannot serialise number: must not be NaN or Inf")
    end
    return value ~= value and "nan" or value > 0 and "inf" or "-inf"
  end
  return format("%." .. config.precision .. "g", value)
end

-- How long the array is that `t` is; nil if it is an object.
local function array_length(t)
  local most, count = 0, 0
  tools.scan(t)
  for k in next, t do
    if type(k) ~= "number" or k < 1 or floor(k) ~= k then
      return nil
    end
    count = count + 1
    if k > most then
      most = k
    end
  end
  if config.ratio > 0 and most > count * config.ratio and most > config.safe then
    if not config.convert then
      fail("Cannot serialise table: excessively sparse array")
    end
    return nil
  end
  return most
end

local encode_value

local function encode_table(t, out, at, depth)
  depth = depth + 1
  if depth > config.encode_depth then
    fail("Cannot serialise, excessive nesting (" .. depth .. ")")
  end
  local length = array_length(t)
  if length and length > 0 then
    for place = 1, length do
      out[at + 1] = place == 1 and "[" or ","
      at = encode_value(t[place], out, at + 1, depth)
    end
    out[at + 1] = "]"
    return at + 1
  end
  local mark = "{"
  for k, v in next, t do
    local kind = type(k)
    out[at + 1] = mark
    if kind == "number" then
      out[at + 2] = '"' .. number_text(k) .. '":'
    elseif kind == "string" then
      out[at + 2] = quoted(k) .. ":"
    else
      fail("Cannot serialise " .. kind .. ": table key must be a number or string")
    end
    mark = ","
    at = encode_value(v, out, at + 2, depth)
  end
  out[at + 1] = mark == "{" and "{}" or "}"
  return at + 1
end

function encode_value(value, out, at, depth)
  local kind = type(value)
  at = at + 1
  if kind == "string" then
    out[at] = quoted(value)
  elseif kind == "number" then
    out[at] = number_text(value)
  elseif kind == "boolean" then
    out[at] = value and "true" or "false"
  elseif kind == "table" then
    return encode_table(value, out, at - 1, depth)
  elseif kind == "nil" or value == null then
    out[at] = "null"
  else
    fail("Cannot serialise " .. kind .. ": type not supported")
  end
  return at
end

local cjson = { _NAME = "cjson", _VERSION = "2.1.0", null = null }

function cjson.encode(...)
  if select("#", ...) ~= 1 then
    about_argument(1, "expected 1 argument")
  end
  local out = {}
  local at = encode_value((...), out, 0, 0)
  local size = 0
  for place = 1, at do
    size = size + #out[place]
  end
  charge(size / 16)
  return concat(out)
end

-- --- Decoding.

local SHORT = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r",
                t = "\t" }

local function utf8(code)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + floor(code / 64), 0x80 + code % 64)
  elseif code < 0x10000 then
    return string.char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64,
    0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

local function wrong(what, found, at)
  fail("Expected " .. what .. " but found " .. found .. " at character " .. at)
end

-- The string whose opening quote is at `at`, and the place behind it; or nil, what is wrong, where.
local function read_string(text, at)
  local start = at + 1
  local stop = find(text, '["\\%z]', start)
  if stop and byte(text, stop) == 34 then
    charge((stop - start) / 8)
    return sub(text, start, stop - 1), stop + 1
  end
  local parts, size = {}, 0
  while true do
    stop = find(text, '["\\%z]', start)
    if not stop or byte(text, stop) == 0 then
      return nil, "unexpected end of string", stop or #text + 1
    end
    size = size + 1
    parts[size] = sub(text, start, stop - 1)
    charge((stop - start) / 8)
    if byte(text, stop) == 34 then
      return concat(parts), stop + 1
    end
    local c = sub(text, stop + 1, stop + 1)
    local short = SHORT[c]
    if short then
      size = size + 1
      parts[size] = short
      start = stop + 2
    elseif c == "u" then
      local digits = match(text, "^%x%x%x%x", stop + 2)
      if not digits then
        return nil, "invalid unicode escape code", stop
      end
      local code = tonumber(digits, 16)
      start = stop + 6
      if code >= 0xD800 and code <= 0xDFFF then
        local low = match(text, "^\\u(%x%x%x%x)", start)
        low = low and tonumber(low, 16)
        if code >= 0xDC00 or not low or low < 0xDC00 or low > 0xDFFF then
          return nil, "invalid unicode escape code", stop
        end
        code = 0x10000 + (code - 0xD800) * 1024 + (low - 0xDC00)
        start = start + 6
      end
      size = size + 1
      parts[size] = utf8(code)
    else
      return nil, "invalid escape code", stop
    end
  end
end

local PLAIN = { ["{"] = "T_OBJ_BEGIN", ["}"] = "T_OBJ_END", ["["] = "T_ARR_BEGIN",
                ["]"] = "T_ARR_END", [","] = "T_COMMA", [":"] = "T_COLON" }

local function read_number(text, at)
  local sign = match(text, "^[+-]", at) or ""
  local from = at + #sign
  local digits = match(text, "^0[xX]%x+%.?%x*", from) or match(text, "^0[xX]%.%x+", from)
  if digits then
    digits = digits .. (match(text, "^[pP][+-]?%d+", from + #digits) or "")
  else
    local rest = sub(text, from, from + 8):lower()
    digits = match(rest, "^infinity") or match(rest, "^inf") or match(rest, "^nan")
    if digits then
      if not config.decode_invalid then
        return nil
      end
      local value = digits == "nan" and -(0 / 0) or sign == "-" and -huge or huge
      return value, from + #digits
    end
    digits = match(text, "^%d+%.?%d*", from) or match(text, "^%.%d+", from)
    if not digits then
      return nil
    end
    digits = digits .. (match(text, "^[eE][+-]?%d+", from + #digits) or "")
  end
  charge(#digits / 4)
  if not config.decode_invalid and find(digits, "^0[%dxX]") then
    return nil
  end
  return tonumber(sign .. digits), from + #digits
end

-- The next token: its kind, its value, where it begins, and the place behind it.
local function token(text, at)
  at = find(text, "[^ \t\n\r]", at)
  if not at then
    return "T_END", nil, #text + 1, #text + 1
  end
  local c = sub(text, at, at)
  local kind = PLAIN[c]
  if kind then
    return kind, nil, at, at + 1
  elseif c == '"' then
    local value, past, where = read_string(text, at)
    if value then
      return "T_STRING", value, at, past
    end
    return "T_ERROR", past, where, where
  elseif find(c, "[%d%-iInN]") or (c == "+" and config.decode_invalid) then
    if sub(text, at, at + 3) == "null" then
      return "T_NULL", null, at, at + 4
    end
    local value, past = read_number(text, at)
    if value then
      return "T_NUMBER", value, at, past
    elseif find(c, "[%d%+%-]") then
      return "T_ERROR", "invalid number", at, at
    end
  elseif sub(text, at, at + 3) == "true" then
    return "T_BOOLEAN", true, at, at + 4
  elseif sub(text, at, at + 4) == "false" then
    return "T_BOOLEAN", false, at, at + 5
  elseif c == "\0" then -- Whatever follows.
    return "T_END", nil, at, at
  end
  return "T_ERROR", "invalid token", at, at
end

local function name_of(kind, value)
  return kind == "T_ERROR" and value or kind
end

local decode_value

local function deeper(depth, at)
  depth = depth + 1
  if depth > config.decode_depth then
    fail("Found too many nested data structures (" .. depth .. ") at character " .. at)
  end
  return depth
end

local function decode_object(text, at, depth, begin)
  depth = deeper(depth, begin)
  local made = {}
  local kind, value, where
  kind, value, where, at = token(text, at)
  if kind == "T_OBJ_END" then
    return made, at
  end
  while true do
    if kind ~= "T_STRING" then
      wrong("object key string", name_of(kind, value), where)
    end
    local k = value
    kind, value, where, at = token(text, at)
    if kind ~= "T_COLON" then
      wrong("colon", name_of(kind, value), where)
    end
    kind, value, where, at = token(text, at)
    made[k], at = decode_value(text, kind, value, where, at, depth)
    kind, value, where, at = token(text, at)
    if kind == "T_OBJ_END" then
      return made, at
    elseif kind ~= "T_COMMA" then
      wrong("comma or object end", name_of(kind, value), where)
    end
    kind, value, where, at = token(text, at)
  end
end

local function decode_array(text, at, depth, begin)
  depth = deeper(depth, begin)
  local made, count = {}, 0
  local kind, value, where
  kind, value, where, at = token(text, at)
  if kind == "T_ARR_END" then
    return made, at
  end
  while true do
    count = count + 1
    made[count], at = decode_value(text, kind, value, where, at, depth)
    kind, value, where, at = token(text, at)
    if kind == "T_ARR_END" then
      return made, at
    elseif kind ~= "T_COMMA" then
      wrong("comma or array end", name_of(kind, value), where)
    end
    kind, value, where, at = token(text, at)
  end
end

function decode_value(text, kind, value, where, at, depth)
  if kind == "T_STRING" or kind == "T_NUMBER" or kind == "T_BOOLEAN" or kind == "T_NULL" then
    return value, at
  elseif kind == "T_OBJ_BEGIN" then
    return decode_object(text, at, depth, where)
  elseif kind == "T_ARR_BEGIN" then
    return decode_array(text, at, depth, where)
  end
  wrong("value", name_of(kind, value), where)
end

function cjson.decode(...)
  if select("#", ...) ~= 1 then
    about_argument(1, "expected 1 argument")
  end
  local text = ...
  if type(text) == "number" then
    text = tostring(text)
  elseif type(text) ~= "string" then
    about_argument(1, "string expected, got " .. type(text) .. "")
  end
  charge(#text / 16)
  if #text >= 2 and (byte(text, 1) == 0 or byte(text, 2) == 0) then
    fail("JSON parser does not support UTF-16 or UTF-32")
  end
  local kind, value, where, at = token(text, 1)
  local made
  made, at = decode_value(text, kind, value, where, at, 0)
  kind, value, where = token(text, at)
  if kind ~= "T_END" then
    wrong("the end", name_of(kind, value), where)
  end
  return made
end

-- --- Settings. They hold until the script ends.

local function reset()
  config = DEFAULTS
end

local function changed(name, value)
  if config == DEFAULTS then
    tools.when_over(reset)
  end
  local fresh = {}
  for k, v in pairs(config) do
    fresh[k] = v
  end
  fresh[name] = value
  config = fresh
end

local function whole(value, number, name, low, high)
  value = tonumber(value)
  if not value or value ~= floor(value) or value < low or value > high then
    about_argument(number, "expected integer between " .. low .. " and " .. high)
  end
  return value
end

function cjson.encode_sparse_array(convert, ratio, safe)
  if convert ~= nil then
    changed("convert", convert == true or convert == "on")
  end
  if ratio ~= nil then
    changed("ratio", whole(ratio, 2, "encode_sparse_array", 0, 2147483647))
  end
  if safe ~= nil then
    changed("safe", whole(safe, 3, "encode_sparse_array", 0, 2147483647))
  end
  return config.convert, config.ratio, config.safe
end

for name, field in pairs({ encode_max_depth = "encode_depth", decode_max_depth = "decode_depth" }) do
  cjson[name] = function(depth)
    if depth ~= nil then
      changed(field, whole(depth, 1, name, 1, 2147483647))
    end
    return config[field]
  end
end

function cjson.encode_number_precision(digits)
  if digits ~= nil then
    changed("precision", whole(digits, 1, "encode_number_precision", 1, 14))
  end
  return config.precision
end

function cjson.encode_keep_buffer(is_kept)
  if is_kept ~= nil then
    changed("keep_buffer", is_kept == true or is_kept == "on")
  end
  return config.keep_buffer
end

function cjson.encode_invalid_numbers(how)
  if how ~= nil then
    changed("encode_invalid", how == "null" and how or how == true or how == "on")
  end
  return config.encode_invalid
end

function cjson.decode_invalid_numbers(how)
  if how ~= nil then
    changed("decode_invalid", how == true or how == "on")
  end
  return config.decode_invalid
end

function cjson.new()
  fail("cjson.new is not supported: there is one cjson for a script")
end

return cjson
