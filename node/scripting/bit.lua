-- bit, as Redis gives it to scripts (Mike Pall's BitOp): 32 bits, signed results.
local tools = ...
local tonumber = tools.tonumber
local host, charge, about_argument = tools.host, tools.charge, tools.about_argument
local COST = 150

local function number(place, ...)
  local value = select(place, ...)
  local found = tonumber(value)
  if not found or (type(value) ~= "number" and type(value) ~= "string") then
    local got = place > select("#", ...) and "no value" or type(value)
    about_argument(place, "number expected, got " .. got)
  end
  return found
end

local bit = {}

for _, name in ipairs({ "tobit", "bnot", "bswap" }) do
  bit[name] = function(...)
    charge(COST)
    return host.bit(name, number(1, ...), 0)
  end
end

for _, name in ipairs({ "lshift", "rshift", "arshift", "rol", "ror" }) do
  bit[name] = function(...)
    charge(COST)
    return host.bit(name, number(1, ...), number(2, ...))
  end
end

for _, name in ipairs({ "band", "bor", "bxor" }) do
  bit[name] = function(...)
    local count = select("#", ...)
    local result = host.bit("tobit", number(1, ...), 0)
    charge(COST * count)
    for place = 2, count do
      result = host.bit(name, result, number(place, ...))
    end
    return result
  end
end

function bit.tohex(...)
  charge(COST)
  local bits = host.bit("tobit", number(1, ...), 0) % 4294967296
  local digits = select("#", ...) < 2 and 8 or host.bit("tobit", number(2, ...), 0)
  local form = "%08x"
  if digits < 0 then
    form, digits = "%08X", -digits
  end
  if digits > 8 or digits < 0 then
    digits = 8
  end
  return string.sub(string.format(form, bits), 9 - digits)
end

return bit
