-- cmsgpack, as Redis gives it to scripts (Salvatore Sanfilippo's, 0.3.1).
local tools = ...
local tonumber = tools.tonumber
local host, charge, fail, about_argument = tools.host, tools.charge, tools.fail, tools.about_argument
local byte, char, sub = string.byte, string.char, string.sub
local floor, huge = math.floor, math.huge

local NESTING_MAX = 16
local RESULTS_MAX = 7000

local function big_endian(value, size)
  local parts = {}
  for place = size, 1, -1 do
    parts[place] = char(value % 256)
    value = floor(value / 256)
  end
  return table.concat(parts)
end

local function pack_integer(value)
  if value >= 0 then
    if value <= 127 then
      return char(value)
    elseif value <= 0xFF then
      return "\204" .. char(value)
    elseif value <= 0xFFFF then
      return "\205" .. big_endian(value, 2)
    elseif value <= 0xFFFFFFFF then
      return "\206" .. big_endian(value, 4)
    end
    return "\207" .. big_endian(value, 8)
  elseif value >= -32 then
    return char(256 + value)
  elseif value >= -128 then
    return "\208" .. char(256 + value)
  elseif value >= -32768 then
    return "\209" .. big_endian(65536 + value, 2)
  elseif value >= -2147483648 then
    return "\210" .. big_endian(4294967296 + value, 4)
  end
  -- Two's complement in parts that a double holds.
  local low = value % 4294967296
  local high = floor(value / 4294967296) + 4294967296
  return "\211" .. big_endian(high, 4) .. big_endian(low, 4)
end

local function pack_number(value)
  if value == floor(value) and value >= -(2 ^ 63) and value < 2 ^ 63 then
    return pack_integer(value)
  end
  local short = host.float_bytes(">f", value)
  if host.bytes_float(">f", short) == value then
    return "\202" .. short
  end
  return "\203" .. host.float_bytes(">d", value)
end

local function pack_string(text)
  local size = #text
  charge(size / 4)
  if size < 32 then
    return char(160 + size) .. text
  elseif size <= 0xFF then
    return "\217" .. char(size) .. text
  elseif size <= 0xFFFF then
    return "\218" .. big_endian(size, 2) .. text
  end
  return "\219" .. big_endian(size, 4) .. text
end

-- How long the array is that `t` is, or nil; and how many keys it has.
local function shape(t)
  local most, count, is_array = 0, 0, true
  tools.scan(t)
  for k in next, t do
    count = count + 1
    if type(k) ~= "number" or k <= 0 or k ~= floor(k) then
      is_array = false
    elseif k > most then
      most = k
    end
  end
  return is_array and most == count, count
end

local function header(size, fix, fix_max, base)
  if size <= fix_max then
    return char(fix + size)
  elseif size <= 0xFFFF then
    return char(base) .. big_endian(size, 2)
  end
  return char(base + 1) .. big_endian(size, 4)
end

local function pack_value(value, out, at, depth)
  local kind = type(value)
  at = at + 1
  if kind == "table" and depth == NESTING_MAX then
    kind = "nil"
  end
  if kind == "string" then
    out[at] = pack_string(value)
  elseif kind == "number" then
    out[at] = pack_number(value)
  elseif kind == "boolean" then
    out[at] = value and "\195" or "\194"
  elseif kind == "table" then
    local is_array, count = shape(value)
    if is_array then
      out[at] = header(count, 144, 15, 220)
      for place = 1, count do
        at = pack_value(value[place], out, at, depth + 1)
      end
    else
      out[at] = header(count, 128, 15, 222)
      for k, v in next, value do
        at = pack_value(k, out, at, depth + 1)
        at = pack_value(v, out, at, depth + 1)
      end
    end
  else
    out[at] = "\192"
  end
  return at
end

local cmsgpack = { _NAME = "cmsgpack", _VERSION = "lua-cmsgpack 0.4.0",
                   _COPYRIGHT = "Copyright (C) 2012, Salvatore Sanfilippo",
                   _DESCRIPTION = "MessagePack C implementation for Lua" }

function cmsgpack.pack(...)
  local count = select("#", ...)
  if count == 0 then
    about_argument(0, "MessagePack pack needs input.")
  end
  local out, at = {}, 0
  for place = 1, count do
    at = pack_value((select(place, ...)), out, at, 0)
  end
  return table.concat(out)
end

-- --- Reading.

local MISSING, BAD = "Missing bytes in input.", "Bad data format in input."

local function need(text, at, size)
  if at + size - 1 > #text then
    fail(MISSING)
  end
end

local function unsigned(text, at, size)
  need(text, at, size)
  local value = 0
  for place = at, at + size - 1 do
    value = value * 256 + byte(text, place)
  end
  return value
end

local signed
function signed(text, at, size)
  if size == 8 then -- In halves, so that it is rounded once.
    need(text, at, 8)
    return signed(text, at, 4) * 4294967296 + unsigned(text, at + 4, 4)
  end
  local value = unsigned(text, at, size)
  return byte(text, at) < 128 and value or value - 256 ^ size
end

local read

local function read_text(text, at, size)
  need(text, at, size)
  charge(size / 8)
  return sub(text, at, at + size - 1), at + size
end

local function read_array(text, at, count)
  local made = {}
  for place = 1, count do
    made[place], at = read(text, at)
  end
  return made, at
end

local function read_map(text, at, count)
  local made = {}
  for _ = 1, count do
    local k, v
    k, at = read(text, at)
    v, at = read(text, at)
    local kind = type(k)
    if kind == "nil" or k ~= k then
      error(kind == "nil" and "table index is nil" or "table index is NaN", 0)
    elseif kind == "table" then
      fail("a table cannot be the key of a table here: use a string or a number")
    end
    made[k] = v
  end
  return made, at
end

local depth = 0 -- Of the value that is read now, in others.

local function nested(f, text, at, count)
  depth = depth + 1
  if depth > 5000 then
    fail(BAD)
  end
  local made
  made, at = f(text, at, count)
  depth = depth - 1
  return made, at
end

function read(text, at)
  need(text, at, 1)
  local code = byte(text, at)
  at = at + 1
  if code <= 127 then
    return code, at
  elseif code >= 224 then
    return code - 256, at
  elseif code >= 160 and code <= 191 then
    return read_text(text, at, code - 160)
  elseif code >= 144 and code <= 159 then
    return nested(read_array, text, at, code - 144)
  elseif code >= 128 and code <= 143 then
    return nested(read_map, text, at, code - 128)
  elseif code == 192 then
    return nil, at
  elseif code == 194 or code == 195 then
    return code == 195, at
  elseif code == 202 then
    need(text, at, 4)
    return host.bytes_float(">f", sub(text, at, at + 3)), at + 4
  elseif code == 203 then
    need(text, at, 8)
    return host.bytes_float(">d", sub(text, at, at + 7)), at + 8
  elseif code >= 204 and code <= 207 then
    local size = 2 ^ (code - 204)
    return (size == 8 and signed or unsigned)(text, at, size), at + size -- 64 bits have a sign.
  elseif code >= 208 and code <= 211 then
    local size = 2 ^ (code - 208)
    return signed(text, at, size), at + size
  elseif code >= 217 and code <= 219 then
    local size = 2 ^ (code - 217)
    return read_text(text, at + size, unsigned(text, at, size))
  elseif code == 220 or code == 221 then
    local size = code == 220 and 2 or 4
    return nested(read_array, text, at + size, unsigned(text, at, size))
  elseif code == 222 or code == 223 then
    local size = code == 222 and 2 or 4
    return nested(read_map, text, at + size, unsigned(text, at, size))
  end
  fail(BAD)
end

local function input(text)
  if type(text) == "number" then
    text = tostring(text)
  elseif type(text) ~= "string" then
    about_argument(1, "string expected, got " .. (text == nil and "no value" or type(text)))
  end
  return text
end

local function whole_number(value, place)
  local found = tonumber(value)
  if not found then
    about_argument(place, "number expected, got " .. (value == nil and "no value" or type(value)))
  end
  return found < 0 and math.ceil(found) or floor(found)
end

-- So that what is called in it is no tail call, and the name of the function stays known.
local function kept(...)
  return ...
end

local function read_some(text, limit, offset, is_full)
  text = input(text)
  if offset < 0 or limit < 0 then
    fail("Invalid request to unpack with offset of " .. offset .. " and limit of " .. #text .. ".")
  elseif offset > #text then
    fail("Start offset " .. offset .. " greater than input length " .. #text .. ".")
  end
  if is_full then
    limit = huge
  end
  depth = 0 -- What was read before may have failed.
  local found, count, at = {}, 0, offset + 1
  while at <= #text and count < limit do
    local value
    value, at = read(text, at)
    count = count + 1
    if count > RESULTS_MAX then
      fail("too many results to unpack")
    end
    found[count] = value
  end
  if is_full then
    return unpack(found, 1, count)
  end
  return at > #text and -1 or at - 1, unpack(found, 1, count)
end

function cmsgpack.unpack(text)
  return kept(read_some(text, 0, 0, true))
end

function cmsgpack.unpack_one(text, offset)
  return kept(read_some(text, 1, offset == nil and 0 or whole_number(offset, 2), false))
end

function cmsgpack.unpack_limit(text, limit, offset)
  limit = whole_number(limit, 2)
  offset = offset == nil and 0 or whole_number(offset, 3)
  return kept(read_some(text, limit, offset, limit == 0 and offset == 0))
end

return cmsgpack
